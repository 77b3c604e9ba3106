"""Talk with the service manager: how the relay is, that it is alive, and sockets that were opened for it. See sd_notify(3), sd_listen_fds(3).

In: variables of the environment. Out: datagrams to NOTIFY_SOCKET, listening sockets. Never: an error because no manager is there.
"""
