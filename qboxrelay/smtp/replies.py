"""Every reply of the door, once (RFC 5321 §4.2, enhanced codes of RFC 3463).

In: nothing. Out: `Reply` values. Never: jokes, versions, or what a client sent.
"""

from qboxrelay.model.reply import Reply

OK = Reply(250, "2.0.0", "Ok")
SENDER_OK = Reply(250, "2.1.0", "Sender ok")
RECIPIENT_OK = Reply(250, "2.1.5", "Recipient ok")
BYE = Reply(221, "2.0.0", "Bye")
START_DATA = Reply(354, "", "End data with <CR><LF>.<CR><LF>")
START_TLS = Reply(220, "2.0.0", "Ready to start TLS")
HELP = Reply(214, "2.0.0", "Commands: EHLO HELO STARTTLS AUTH MAIL RCPT DATA BDAT RSET NOOP QUIT")
CANNOT_VERIFY = Reply(252, "2.5.0", "Cannot verify addresses, send the mail to find out")

STOPPING = Reply(421, "4.3.2", "The relay is stopping, try again later")
TOO_MANY_CONNECTIONS = Reply(421, "4.3.2", "Too many connections, try again later")
TOO_MANY_FROM_CLIENT = Reply(421, "4.7.0", "Too many connections from your address, close some of them")
IDLE = Reply(421, "4.4.2", "No command for too long, closing the connection")
SLOW_COMMAND = Reply(421, "4.4.2", "A command took too long to arrive, closing the connection")
SLOW_DATA = Reply(421, "4.4.2", "The mail arrives too slowly, closing the connection")
SESSION_TOO_LONG = Reply(421, "4.4.2", "The connection has lasted too long, open a new one")
MAILS_PER_CONNECTION = Reply(421, "4.7.0", "Enough mails on one connection, open a new one")
TOO_MANY_ERRORS = Reply(421, "4.7.0", "Too many commands that are not SMTP, closing the connection")
INTERNAL = Reply(451, "4.3.0", "An internal error of the relay, try again later")
TOO_MANY_MAILS = Reply(450, "4.7.1", "Too many mails within a minute, try again in a minute")
TOO_MANY_RECIPIENTS_PER_MINUTE = Reply(450, "4.7.1", "Too many recipients within a minute, try again in a minute")
NO_MEMORY = Reply(452, "4.3.1", "Too many mails are being received at the moment, try again later")
TLS_NOT_AVAILABLE = Reply(454, "4.7.0", "TLS is not available now, try again later")
TOO_MANY_RECIPIENTS = Reply(452, "4.5.3", "Too many recipients, send the rest in another mail")

LINE_TOO_LONG = Reply(500, "5.5.2", "Command line too long")
UNKNOWN = Reply(500, "5.5.2", "Command not recognised")
TLS_IN_CLEAR = Reply(
    554,
    "5.5.1",
    "This port begins without TLS: choose STARTTLS or no encryption in the client, or its port for implicit TLS",
)
NOT_ALLOWED = Reply(
    554, "5.7.1", "Your address may not send here: log in, or ask for it to be added to allow_networks of the listener"
)
TLS_FIRST = Reply(530, "5.7.0", "Must issue a STARTTLS command first")
TLS_ALREADY = Reply(503, "5.5.1", "TLS is active already")
TLS_NOT_OFFERED = Reply(502, "5.5.1", "STARTTLS is not offered here")
TLS_IN_MAIL = Reply(503, "5.5.1", "STARTTLS is not possible within a mail, send RSET first")
SYNTAX_STARTTLS = Reply(501, "5.5.4", "Syntax: STARTTLS")
SYNTAX_BDAT = Reply(501, "5.5.4", "Syntax: BDAT octets [LAST]")
BDAT_BEGUN = Reply(503, "5.5.1", "The mail was begun with BDAT: go on with BDAT, or send RSET")
LINE_IN_MAIL_TOO_LONG = Reply(
    550,
    "5.6.0",
    "The mail has a line that is too long: break lines, encode as base64, or raise max_line_bytes of the listener",
)
HTTP = Reply(554, "5.5.1", "This is an SMTP server, not an HTTP server")
SYNTAX_MAIL = Reply(501, "5.5.4", "Syntax: MAIL FROM:<address>")
SYNTAX_RCPT = Reply(501, "5.5.4", "Syntax: RCPT TO:<address>")
SYNTAX_DATA = Reply(501, "5.5.4", "Syntax: DATA")
BAD_SENDER = Reply(553, "5.1.7", "The sender address is not valid, write MAIL FROM:<local@domain>")
BAD_RECIPIENT = Reply(553, "5.1.3", "The recipient address is not valid, write RCPT TO:<local@domain>")
BAD_PARAMETER = Reply(555, "5.5.4", "A parameter of the command is not supported")
NOT_IMPLEMENTED = Reply(502, "5.5.1", "Command not implemented")
SEND_MAIL_FIRST = Reply(503, "5.5.1", "Send MAIL first")
SEND_RCPT_FIRST = Reply(503, "5.5.1", "Send RCPT first")
NESTED_MAIL = Reply(503, "5.5.1", "MAIL was sent already, send RSET to begin anew")
TOO_LARGE = Reply(552, "5.3.4", "The mail is larger than this relay takes, see SIZE in the answer to EHLO")
BARE_LINE_FEED = Reply(
    550,
    "5.6.0",
    'The mail has line ends that are not CRLF: send CRLF, or set bare_line_feed = "normalise" for the listener',
)

LOGGED_IN = Reply(235, "2.7.0", "Authentication succeeded")
LOGIN_WRONG = Reply(535, "5.7.8", "Wrong user name or password")
LOGIN_THROTTLED = Reply(454, "4.7.0", "Too many failed logins, try again in a few minutes")
LOGIN_UNAVAILABLE = Reply(454, "4.7.0", "The password cannot be checked now, try again later")
TOO_MANY_LOGINS = Reply(421, "4.7.0", "Too many failed logins, closing the connection")
LOGIN_FIRST = Reply(530, "5.7.0", "Authentication required: set a user name and a password in the client")
LOGIN_NEEDS_TLS = Reply(530, "5.7.0", "Authentication required: switch STARTTLS on in the client, and log in")
AUTH_NOT_OFFERED = Reply(503, "5.5.1", "No login is needed here, send without a user name and password")
AUTH_IN_CLEAR = Reply(538, "5.7.11", "A login needs encryption: switch STARTTLS on in the client")
AUTH_ALREADY = Reply(503, "5.5.1", "You have logged in already")
AUTH_IN_MAIL = Reply(503, "5.5.1", "AUTH is not possible within a mail, send RSET first")
SEND_EHLO_FIRST = Reply(503, "5.5.1", "Send EHLO first")
AUTH_MECHANISM = Reply(504, "5.5.4", "This mechanism is not offered, choose one from the answer to EHLO")
AUTH_NO_INITIAL = Reply(501, "5.5.4", "This mechanism begins with a challenge, send AUTH without a response")
AUTH_CANCELLED = Reply(501, "5.7.0", "Authentication cancelled")
AUTH_BASE64 = Reply(501, "5.5.2", "The response is not base64")
AUTH_MALFORMED = Reply(501, "5.5.2", "The response is not what the mechanism asks for")
AUTH_ON_BEHALF = Reply(535, "5.7.8", "Nobody may act as another user: leave the authorization identity empty")
AUTH_LINE_TOO_LONG = Reply(500, "5.5.6", "The line is too long for an authentication")
SYNTAX_AUTH = Reply(501, "5.5.4", "Syntax: AUTH mechanism [response]")
