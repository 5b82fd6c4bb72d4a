package platform

// volumes says that the image mounts volumes. The port writes true here for one
// that does.
const volumes = false
