"""What runs in a bench child: the only modules of this package that import torch."""
