"""The whole product on one machine, behind one address: what `scripts/dev` runs.

As a request travels: `__main__` puts it all together; `edge` takes the viewer's request, asks
`behaviours` and `policies`, which `template` has read, and makes an `origin_request` of it for one
of the `origins`: the socket `host`, by `balancer`, `proxy` and `tunnel`, or the `function`, whose
`environment` is fed by `runtime_api`. What nobody asks for by an address, `scheduler` runs at its
time. `watch` notices saves, and `reload` gives each to the part it belongs to.
"""
