package compare

// onlyBytes says what is not compared of disks.
func (r *Report) onlyBytes() {
	if !r.Same {
		r.Where = "the disk"
		r.Unknown = append(r.Unknown, "what differs on the disks: compare the images that are on them, which tailor build -t virtio makes without --format")
	}
}
