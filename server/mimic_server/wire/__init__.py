"""Conversions between the domain and the wire that several edges share."""
