"""What tests are written with: hosts, clients, buses and AWS's stand-in."""
