package platform

// volumes says that the image mounts volumes or shows disks. The port writes true here
// for one that does.
const volumes = false
