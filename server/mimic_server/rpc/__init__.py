"""The edge that speaks mimic.v1: translate, call a service, translate."""
