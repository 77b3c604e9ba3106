"""The HTTP listener: the status page, metrics and health.

In: the queue, the spool's figures, the metrics registry, what is known of sender domains. Out: pages, `/metrics`, `/healthz`, `/readyz`. Never:
the content of a mail; a look at the network but for the DNS of a domain whose page somebody opens.
"""
