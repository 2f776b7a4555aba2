"""What does it cost, and how should it be bought?"""
