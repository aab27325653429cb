"""The way in from the internet: domains, routes, certificates and the load balancer.

All of it is pure but lookups, the only module that asks the outside.
"""
