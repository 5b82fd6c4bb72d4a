; A loader as Firecracker is one, for tests: QEMU starts it by PVH, and it starts
; the image that QEMU has put as a file at IMAGE, by Linux's 64-bit boot protocol
; with the memory layout of Firecracker 1.x (its docs and src/vmm/src/arch/x86_64:
; GDT at 0x500, zero page at 0x7000, stack below 0x8ff0, page tables from 0x9000
; for the first GiB, command line at 0x20000, RSDP at 0xe0000, and the memory
; behind the first MiB as the last entry of the map).

%include "loader.inc"

	; Low memory is full of what must not be taken for zeros.
	mov	edi, 0x500
	mov	ecx, (0x9fc00 - 0x500)/4
	mov	eax, 0xcccccccc
	rep stosd
	mov	edi, 0x7000		; the zero page
	mov	ecx, 4096/4
	xor	eax, eax
	rep stosd
	mov	dword [0x7070], 0xe0000	; acpi_rsdp_addr
	mov	byte [0x71e8], 4	; e820_entries
	mov	word [0x71fe], 0xaa55
	mov	dword [0x7202], 0x53726448
	mov	byte [0x7210], 0xff
	mov	dword [0x7228], 0x20000
	mov	dword [0x7238], cmdlineEnd - cmdline
	mov	dword [0x7230], 0x1000000
	mov	esi, e820
	mov	edi, 0x72d0
	mov	ecx, 4*20
	rep movsb
	mov	esi, cmdline
	mov	edi, 0x20000
	mov	ecx, cmdlineEnd - cmdline
	rep movsb
	mov	esi, gdt
	mov	edi, 0x500
	mov	ecx, 32
	rep movsb
	mov	edi, 0x9000
	mov	ecx, 3*4096/4
	xor	eax, eax
	rep stosd
	mov	dword [0x9000], 0xa003
	mov	dword [0xa000], 0xb003
	mov	edi, 0xb000
	mov	eax, 0x83
.page:
	mov	[edi], eax
	add	edi, 8
	add	eax, 0x200000
	cmp	edi, 0xc000
	jb	.page

	mov	eax, 0x20
	mov	cr4, eax
	mov	eax, 0x9000
	mov	cr3, eax
	mov	ecx, 0xc0000080
	mov	eax, 0x100
	xor	edx, edx
	wrmsr
	mov	eax, 0x80000001
	mov	cr0, eax
	lgdt	[gdtr]
	jmp	8:entry64
bits 64
entry64:
	mov	eax, 0x10
	mov	ds, eax
	mov	es, eax
	mov	ss, eax
	mov	fs, eax
	mov	gs, eax
	mov	rax, [abs IMAGE+24]	; e_entry
	mov	esp, 0x8ff0
	mov	ebp, 0x8ff0
	mov	esi, 0x7000
	xor	ebx, ebx
	xor	ecx, ecx
	xor	edx, edx
	xor	edi, edi
	push	2
	popfq
	jmp	rax

	align	8
gdt:	dq 0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x008f8b000000ffff
gdtr:	dw 31
	dd 0x500
e820:
	dq 0, 0x9fc00
	dd 1
	dq 0x9fc00, 0x60400
	dd 2
	dq 0xeec00000, 0x10000000
	dd 2
	dq 0x100000, MEMORY - 0x100000
	dd 1
cmdline: db "reboot=k panic=1 nomodule 8250.nr_uarts=0 i8042.noaux env=T_A=by-linux -- args -x ", '"a b"', 0
cmdlineEnd:
end:
