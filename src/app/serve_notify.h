/*
 * Tells a service manager how the server is doing (sd_notify(3): one datagram to $NOTIFY_SOCKET). Does
 * nothing where there is none.
 */
#ifndef CREDITLEDGER_APP_SERVE_NOTIFY_H
#define CREDITLEDGER_APP_SERVE_NOTIFY_H

void serve_notify(const char *state); /* "READY=1", "STOPPING=1" */

#endif
