#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""fake.py - stands for a program of the server: it gives its channels to the
test over the socket "fake" beside it, and does what it is told: nothing, end
with a status, die by a signal."""
import array
import os
import signal
import socket
import sys

here = os.path.dirname(os.path.abspath(sys.argv[0]))
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.connect(os.path.join(here, "fake"))
s.sendmsg([("%s %d" % (os.path.basename(sys.argv[0]), os.getpid())).encode()],
          [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [3, 5]))])
os.close(3)
os.close(5)
word = s.recv(100).decode().split()
if word and word[0] == "die":
    os.kill(os.getpid(), int(word[1]))
    signal.pause()
sys.exit(int(word[1]) if word and word[0] == "exit" else 0)
