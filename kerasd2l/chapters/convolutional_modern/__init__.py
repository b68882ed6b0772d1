"""Modern convolutional networks: from AlexNet to networks out of a design space."""
