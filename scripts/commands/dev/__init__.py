"""The whole site on one machine, at one address: what `scripts/dev` runs.

In the order a request travels: `__main__` is the wiring; `edge` takes the viewer's request, applies
`behaviours` and `policies`, which `template` has read, and sends an `origin_request` to one of the
`origins`: the socket `host`, through `balancer`, `proxy` and `tunnel`, or the `function`, whose
`environment` gets invocations from `runtime_api`. `scheduler` runs scheduled functions. `watch`
notices saves, and `reload` passes each to the part it belongs to.
"""
