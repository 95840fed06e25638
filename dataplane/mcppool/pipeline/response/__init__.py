"""From an endpoint's answer to the client's: judged, relayed, under the client's own id."""
