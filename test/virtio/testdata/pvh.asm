; A loader as Cloud Hypervisor and Firecracker are ones, for tests: it starts the
; image by PVH (Xen's docs/misc/pvh.pandoc) with their memory layout: start info at
; 0x6000, memory map at 0x7000, command line at 0x20000, and the memory behind the
; first MiB as the last entry of the map.

%include "loader.inc"

	; Low memory is full of what must not be taken for zeros.
	mov	edi, 0x500
	mov	ecx, (0x9fc00 - 0x500)/4
	mov	eax, 0xcccccccc
	rep stosd
	mov	esi, info
	mov	edi, 0x6000
	mov	ecx, infoEnd - info
	rep movsb
	mov	esi, map
	mov	edi, 0x7000
	mov	ecx, mapEnd - map
	rep movsb
	mov	esi, cmdline
	mov	edi, 0x20000
	mov	ecx, cmdlineEnd - cmdline
	rep movsb

	; The entry that the image's note names.
	mov	ebx, [IMAGE+32]		; e_phoff
	add	ebx, IMAGE
	movzx	ebp, word [IMAGE+56]	; e_phnum
.note:
	cmp	dword [ebx], 4		; PT_NOTE
	jne	.skip
	mov	esi, [ebx+8]
	add	esi, IMAGE
	cmp	dword [esi+8], 18	; XEN_ELFNOTE_PHYS32_ENTRY
	je	.found
.skip:
	add	ebx, 56
	dec	ebp
	jnz	.note
	hlt
.found:
	mov	eax, [esi+16]
	mov	ebx, 0x6000
	xor	ecx, ecx
	xor	edx, edx
	xor	esi, esi
	xor	edi, edi
	xor	ebp, ebp
	xor	esp, esp		; there need not be a stack
	jmp	eax

	align	8
info:
	dd 0x336ec578, 1, 0, 0		; magic, version, flags, modules
	dq 0, 0x20000, 0xe0000		; modules, command line, RSDP
	dq 0x7000
	dd 4, 0				; entries
infoEnd:
map:
	dq 0, 0x9fc00
	dd 1, 0
	dq 0x9fc00, 0x60400
	dd 2, 0
	dq 0xeec00000, 0x10000000
	dd 2, 0
	dq 0x100000, MEMORY - 0x100000
	dd 1, 0
mapEnd:
cmdline: db "console=hvc0 root=/dev/vda1 rw env=T_A=by-pvh -- args -x ", '"a b"', 0
cmdlineEnd:
end:
