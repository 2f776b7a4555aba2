"""What does a rate of calls need of each quota, and when does one bind?"""
