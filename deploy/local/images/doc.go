// Package images builds OCI images without Docker and gives them to the local
// cluster's containerd.
//
// An image is a list of layers and a configuration. A layer is either a few
// files (a program, an entry script, users) or a Debian root file system, and
// is kept under a digest of what it is made from: the 500 MB root file system
// is made once and shared by the images that stand on it, while a changed
// program costs one small layer. Layers stay uncompressed: they go from this
// disk to this disk.
package images
