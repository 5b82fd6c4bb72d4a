// Package devices holds the monitor's back ends of a guest's virtio devices:
// console, network, disks and shared folders, over the virtqueues of package virtq. It knows nothing
// of KVM; a vCPU thread drives it through a [Bus].
//
// # Who does the work
//
// A virtual machine has one vCPU. Its thread is either in the guest, or it is
// in the monitor because the guest rang a doorbell or has nothing to do. That
// decides who moves a packet:
//
//   - The guest is idle: its thread waits in [Bus.Idle], for the network's file
//     descriptor among other things. A packet that arrives wakes just that
//     thread, which reads it into the guest's buffers and is back in the guest.
//     No second thread is woken on the way.
//   - The guest rings for a packet to send, now and then: its thread sends it
//     before it returns to the guest. No second thread here either.
//   - The guest is busy, and packets arrive, or it rings often, or for many at
//     once: the device's own I/O thread takes over. It polls both rings with
//     notifications off, so that guest and monitor meet in shared memory and
//     nobody enters the kernel to tell the other, until both have been quiet
//     for a while; then it arms the notifications, looks once more, and sleeps.
//
// Where the whole process has one processor, polling would only take it from the
// guest. There the I/O thread looks at the rings now and then, with the
// notifications off all the same, and the rest is done when the guest goes idle:
// each side works through what the other has left, in turns of many packets.
//
// The kernel makes the choice for arriving packets: both threads wait on the
// descriptor with epoll's EPOLLEXCLUSIVE, the vCPU thread's first in line, and
// an event goes to the first one that is waiting. It is edge-triggered: who
// gets it reads until nothing is left, or wakes the I/O thread to go on.
//
// A disk is looked after in the same way: reads of what the host has cached, and
// writes, are the vCPU thread's while the guest rings now and then, and a goroutine's
// that polls when it rings often, or has waited for the medium. If that goroutine loses
// its processor, the vCPU thread finds the requests when the guest goes idle.
//
// A guest that is a process has a thread of its own. Its doorbells are bits and an
// eventfd, and the thread that answers them does a bounded part of what one asks
// for at a time ([Bus.Serve]). Packets for it are the I/O thread's, but where all
// have one processor: there the thread that serves it receives while it sleeps.
//
// A device wakes the guest only if the guest asked for it through used_event
// and its thread is parked: one write to an eventfd, else none.
package devices
