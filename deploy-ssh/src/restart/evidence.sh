# Shows the service's status and its last log lines. $1: service, $2: sudo, $3: pid file.
show_evidence
