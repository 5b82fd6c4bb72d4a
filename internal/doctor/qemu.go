package doctor

import (
	"context"

	"github.com/tailor-os/tailor/internal/qemu"
)

// checkQEMU looks for QEMU and for what it would run guests with.
func checkQEMU(ctx context.Context, cfg Config) Check {
	const name = "qemu"
	path, err := qemu.Find()
	if err != nil {
		return failed(name, Missing, err)
	}
	version, err := qemu.Version(ctx, path)
	if err != nil {
		return missing(name, err.Error(), "run it by hand: "+path+" -version")
	}
	detail := "QEMU " + version + " (" + path + ")"
	if use, why := qemu.KVM(cfg.path("/")); !use {
		return limited(name, detail+", with TCG, software emulation: "+why, "none where KVM is missing or not the processor's; guests compute slower")
	}
	return ok(name, detail+", with KVM")
}
