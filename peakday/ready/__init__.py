"""The document that is signed before an event: criteria with evidence, faults tried, purchases, risks."""
