"""An AWS account, read only: quotas held, list prices, usage; what Bedrock really does beside the stand-ins."""
