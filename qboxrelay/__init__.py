"""qboxrelay: takes mail over SMTP, keeps it in a durable spool, sends it through the Qboxmail Send API."""
