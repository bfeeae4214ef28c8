"""The bundled example agent: customer support of a small shop, with faults planted to be found."""
