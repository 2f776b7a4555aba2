"""What an AWS account holds, costs and uses."""
