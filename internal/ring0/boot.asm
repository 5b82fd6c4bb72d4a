; The boot stub of the virtio target: from a loader's entry to ring 3.
;
; It is loaded at STUB with 64 KiB to itself, in which all that it writes before
; it has saved what the loader says lies too: loaders keep their data in low
; memory, where the guest's first pages go afterwards (package abi).
;
; internal/ring0 fills in the header and appends what it tells to copy.

%include "abi.inc"
%include "serial.inc"

org STUB
bits 64

entry64:			; Linux's 64-bit boot protocol: RSI is boot_params
	jmp	start64
	align	16
bits 32
entry32:			; PVH: EBX is hvm_start_info, protected mode, no paging
	jmp	start32
	align	32

; The header, STUB+HEADER: filled in by package ring0.
header:
h_entry:	dq 0		; of the image
h_imageEnd:	dq 0
h_reserve:	dq 0		; bytes above the image without which it does not start
h_pages:	dq 0		; pages of page tables
h_copies:	dd 0, 0		; address and number of copies: from, to, bytes (dd)
h_maps:		dd 0, 0		; address and number of maps: start, end, rights (dq)
h_files:	dq 0, 0		; where the image's files are, and their bytes
h_zero:		dq 0, 0		; what the image's file does not have of its memory, and its bytes
h_name:		times 64 db 0

%if ($ - $$) != HEADER_END
%error "the header has moved"
%endif

; Memory of the stub's own, above its code and tables.
MEMMAP	equ STUB + MAX_STUB	; MaxMemoryRanges * 24 bytes
CMDLINE	equ MEMMAP + 0x1000	; MaxCmdLine
TABLES	equ CMDLINE + MAX_CMDLINE	; six pages: the first 4 GiB, all rights
STACK	equ STUB + 0x10000
%if TABLES + 6*4096 + 2048 > STACK
%error "no room for a stack"
%endif

PVH_MAGIC	equ 0x336ec578
HDRS		equ 0x53726448	; "HdrS"

EFER	equ 0xc0000080

; temp_tables maps the first 4 GiB to themselves in 2 MiB pages. It works in both
; modes and clobbers EAX, ECX, EDI.
%macro temp_tables 0
	mov	edi, TABLES
	xor	eax, eax
	mov	ecx, 6*4096/4
	rep stosd
	mov	dword [abs TABLES], TABLES + 0x1000 + 3
%assign i 0
%rep 4
	mov	dword [abs TABLES + 0x1000 + i*8], TABLES + 0x2000 + i*0x1000 + 3
%assign i i+1
%endrep
	mov	edi, TABLES + 0x2000
	mov	eax, 0x83
	mov	ecx, 2048
%%fill:
	mov	[edi], eax
	add	edi, 8
	add	eax, 0x200000
	dec	ecx
	jnz	%%fill
%endmacro

bits 32
%define abs
start32:
	cli
	cld
	mov	esp, STACK
	mov	ebp, ebx
	temp_tables
	mov	eax, cr4
	or	eax, 1 << 5		; PAE
	mov	cr4, eax
	mov	eax, TABLES
	mov	cr3, eax
	mov	ecx, EFER
	rdmsr
	or	eax, 1 << 8 | 1 << 11	; long mode, no-execute
	wrmsr
	mov	eax, cr0
	or	eax, 1 << 31 | 1
	mov	cr0, eax
	lgdt	[gdtr]
	jmp	0x08:pvh
%undef abs

	align 8
gdt:	dq 0, 0x00af9b000000ffff, 0x00cf93000000ffff
gdtr:	dw $ - gdt - 1
	dq gdt

bits 64
default abs
start64:
	cli
	cld
	mov	esp, STACK
	mov	ebp, esi
	temp_tables
	mov	ecx, EFER
	rdmsr
	or	eax, 1 << 8 | 1 << 11
	wrmsr
	mov	eax, TABLES
	mov	cr3, rax
	lgdt	[gdtr]
	push	0x08
	push	linux
	retfq

; From here on: RBP what the loader says, R12 command line, R13 RSDP, R14 the
; number of memory ranges, R15 the protocol.
pvh:
	call	segments
	mov	r15d, BOOT_PVH
	cmp	dword [rbp], PVH_MAGIC
	jne	badloader
	cmp	dword [rbp+4], 1	; version: 1 has a memory map
	jb	badloader
	mov	r12, [rbp+24]
	mov	r13, [rbp+32]
	mov	rsi, [rbp+40]
	mov	r14d, [rbp+48]
	call	limitmaps
	mov	edi, MEMMAP
	imul	ecx, r14d, 24
	rep movsb
	jmp	prepare

linux:
	call	segments
	mov	r15d, BOOT_LINUX
	cmp	dword [rbp+0x202], HDRS
	jne	badloader
	mov	r12d, [rbp+0x228]	; cmd_line_ptr
	mov	eax, [rbp+0xc8]		; ext_cmd_line_ptr
	shl	rax, 32
	or	r12, rax
	mov	r13, [rbp+0x70]		; acpi_rsdp_addr
	movzx	r14d, byte [rbp+0x1e8]	; e820_entries
	call	limitmaps
	lea	rsi, [rbp+0x2d0]	; e820_table, 20 bytes each
	mov	edi, MEMMAP
	mov	edx, r14d
.next:
	test	edx, edx
	jz	prepare
	mov	ecx, 20
	rep movsb
	xor	eax, eax
	stosd
	dec	edx
	jmp	.next

segments:
	mov	eax, 0x10
	mov	ds, eax
	mov	es, eax
	mov	ss, eax
	xor	eax, eax
	mov	fs, eax
	mov	gs, eax
	ret

; limitmaps bounds R14 by what there is room for.
limitmaps:
	cmp	r14d, MAX_RANGES
	jbe	.ok
	mov	r14d, MAX_RANGES
	or	dword [truncated], TRUNCATED_MEMORY
.ok:
	ret

truncated:	dd 0

prepare:
	; The command line, up to a NUL.
	xor	ebx, ebx
	test	r12, r12
	jz	.copied
.char:
	mov	al, [r12+rbx]
	test	al, al
	jz	.copied
	mov	[rbx+CMDLINE], al
	inc	ebx
	cmp	ebx, MAX_CMDLINE-1
	jb	.char
	cmp	byte [r12+rbx], 0
	je	.copied
	or	dword [truncated], TRUNCATED_CMDLINE
.copied:
	call	findmemory		; RAX: its end
	mov	r12, rax
	mov	rdx, [h_pages]
	shl	rdx, 12
	sub	r12, rdx		; R12: MemEnd
	jb	toosmall
	mov	rcx, [h_imageEnd]
	add	rcx, [h_reserve]
	cmp	rcx, r12
	ja	toosmall

	; What the guest has below the stub: zeros, then copies.
	mov	r8, rax
	mov	edi, CLOCK_ADDR
	mov	ecx, (STACK_HIGH - CLOCK_ADDR)/8
	xor	eax, eax
	rep stosq
	mov	edx, [h_copies+4]
	mov	r9d, [h_copies]
.copy:
	test	edx, edx
	jz	.done
	mov	esi, [r9]
	mov	edi, [r9+4]
	mov	ecx, [r9+8]
	rep movsb
	add	r9d, 12
	dec	edx
	jmp	.copy
.done:
	mov	edi, [h_zero]		; a loader does this once, and not at a reset
	mov	ecx, [h_zero+8]
	xor	eax, eax
	rep stosb
	mov	edi, IO_BITMAP		; no port but the first serial one
	mov	ecx, 0x10000/8 + 1
	mov	al, 0xff
	rep stosb
	mov	byte [IO_BITMAP+0x3f8/8], 0
	mov	esi, MEMMAP
	mov	edi, MEMORY_MAP_ADDR
	imul	ecx, r14d, 24
	rep movsb
	mov	esi, CMDLINE
	mov	edi, CMDLINE_ADDR
	mov	ecx, ebx
	rep movsb

	mov	[PLATFORM_ADDR+P_PROTOCOL], r15d
	mov	[PLATFORM_ADDR+P_NUM_MEMORY], r14d
	mov	[PLATFORM_ADDR+P_CMDLINE_LEN], ebx
	mov	eax, [truncated]
	mov	[PLATFORM_ADDR+P_TRUNCATED], eax
	mov	[PLATFORM_ADDR+P_RSDP], r13
	mov	esi, h_name
	mov	edi, PLATFORM_ADDR+P_NAME
	mov	ecx, 64
	rep movsb

	mov	rax, BOOT_MAGIC
	mov	[BOOT_ADDR+B_MAGIC], rax
	mov	dword [BOOT_ADDR+B_VERSION], ABI_VERSION
	mov	[BOOT_ADDR+B_MEM_END], r12
	mov	rax, [h_imageEnd]
	mov	[BOOT_ADDR+B_IMAGE_END], rax
	mov	dword [BOOT_ADDR+B_PLATFORM], PLATFORM_ADDR
	mov	rax, [h_files]
	mov	[BOOT_ADDR+B_FILES], rax
	mov	rax, [h_files+8]
	mov	[BOOT_ADDR+B_FILES_LEN], rax

	; Page tables, from R12 to R8.
	mov	rdi, r12
	mov	rcx, r8
	sub	rcx, r12
	shr	rcx, 3
	xor	eax, eax
	rep stosq
	mov	[R_ROOT], r12
	lea	rax, [r12+4096]
	mov	[R_NEXT], rax
	mov	[R_LIMIT], r8
	mov	[R_RAM_END], r8
	mov	r13, r8
	mov	r14d, [h_maps]
	mov	r15d, [h_maps+4]
.map:
	mov	rdi, [r14]
	mov	rsi, [r14+8]
	mov	rdx, [r14+16]
	call	map
	add	r14, 24
	dec	r15d
	jnz	.map
	mov	rdi, [h_imageEnd]	; the heap
	mov	rsi, r12
	mov	rdx, MAP_RW
	call	map
	mov	rdi, r12		; the tables themselves
	mov	rsi, r13
	mov	rdx, MAP_SYSTEM_RW
	call	map
	mov	edi, [h_entry]
	mov	esi, STACK_HIGH-64	; argc, argv, envp: none; then auxv
	mov	qword [rsi+24], 6	; AT_PAGESZ
	mov	qword [rsi+32], 4096
	mov	eax, R_ENTER
	jmp	rax			; RDI: entry, RSI: stack

map:
	mov	eax, R_MAP
	call	rax
	test	eax, eax
	jnz	toosmall
	ret

; findmemory returns in RAX the end of the memory that begins at or below the
; stub and holds it, up to MEMORY_LIMIT. Ranges that touch count as one.
findmemory:
	mov	eax, STUB
.again:
	mov	esi, MEMMAP
	mov	ecx, r14d
.next:
	test	ecx, ecx
	jz	.done
	cmp	dword [rsi+16], 1
	jne	.skip
	mov	rdx, [rsi]
	cmp	rdx, rax
	ja	.skip
	add	rdx, [rsi+8]
	jc	.skip
	cmp	rdx, rax
	jbe	.skip
	mov	rax, rdx
	jmp	.again
.skip:
	add	esi, 24
	dec	ecx
	jmp	.next
.done:
	mov	edx, MEMORY_LIMIT
	cmp	rax, rdx
	cmova	rax, rdx
	and	rax, -4096
	ret

badloader:
	mov	esi, .text
	jmp	die
.text:	db "tailor: boot: the loader passes neither a PVH start info with a memory map nor Linux boot parameters", 10, 0

toosmall:
	mov	esi, .text
	jmp	die
.text:	db "tailor: boot: too little memory for this image; give it more (QEMU: -m 64M)", 10, 0

die:
	serial_init
	call	print
	mov	al, 0x31
	out	0xf4, al		; isa-debug-exit, if QEMU was given one
	cli
.halt:
	hlt
	jmp	.halt

serial_print
