"""Routes put into force by Envoy, which watches the files that are written here.

    bootstrap.py       what a gateway process is started with; changes need a restart
    listener.py        LDS: the port, bounds on clients          lds.json
    local_replies.py   what the gateway itself answers
    clusters.py        CDS: three clusters a variant             cds.json
    balancing.py       how a replica of a cluster is picked
    endpoints.py       EDS: where replicas listen                eds/CLUSTER.json
    traffic.py         RDS: weights, shadow, retries, timeout    rds.json
    layout.py          where those files lie, and their versions
    counted.py         what a gateway counts of each request, in its access log
    outcomes.py        which end of a request is an error, and which is the client's own doing
    telemetry.py       all gateways' counts, as increments
    admin.py           questions to a running gateway, over its unix socket
    router.py          the order of writes, and waiting until every gateway has them

All gateways of a service read the same files; only their bootstraps differ.
"""
