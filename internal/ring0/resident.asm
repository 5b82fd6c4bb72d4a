; The part of the virtio target's ring 0 that stays: entering ring 3, services,
; interrupts, and the end after an exception that ring 3 cannot take.

%include "abi.inc"
%include "serial.inc"

org RESIDENT
bits 64
default abs

; Slots, 8 bytes each: what other code jumps to.
	jmp	strict near enter
	align	8
	jmp	strict near service
	align	8
	jmp	strict near fatal
	align	8
	jmp	strict near mapRange
	align	8
	jmp	strict near spurious
	align	64

; An interrupt's stub, 16 bytes each, from VECTOR_TIMER on.
%assign v VECTOR_TIMER
%rep VECTOR_END - VECTOR_TIMER
	push	strict dword v
	jmp	strict near interrupt
	align	16
%assign v v+1
%endrep

LAPIC		equ 0xfee00000
LAPIC_TPR	equ LAPIC + 0x80
LAPIC_EOI	equ LAPIC + 0xb0
LAPIC_SVR	equ LAPIC + 0xf0
LAPIC_TIMER	equ LAPIC + 0x320
LAPIC_LINT0	equ LAPIC + 0x350
LAPIC_LINT1	equ LAPIC + 0x360
LAPIC_INITIAL	equ LAPIC + 0x380
LAPIC_CURRENT	equ LAPIC + 0x390
LAPIC_DIVIDE	equ LAPIC + 0x3e0
IOAPIC		equ 0xfec00000
IOAPIC2		equ 0xfec10000
IOAPIC_PINS	equ 24

MASKED		equ 1 << 16

; An APIC register needs an address of 64 bits: EBX is the base where it matters.
%macro lapic_write 2
	mov	r11d, %1
	mov	dword [r11], %2
%endmacro

; enter leaves for ring 3: entry in RDI, stack in RSI. It runs on the loader's
; tables until it has set CR3.
enter:
	mov	rax, cr0
	btr	rax, 16			; WP: LTR writes to a page that is read-only
	mov	cr0, rax
	mov	rax, [R_ROOT]
	mov	cr3, rax
	mov	esp, TRAP_STACK_HIGH
	lgdt	[gdtr]
	lidt	[idtr]
	push	SEL_KERNEL_CODE
	push	.code
	retfq
.code:
	mov	eax, SEL_KERNEL_DATA
	mov	ds, eax
	mov	es, eax
	mov	ss, eax
	mov	eax, SEL_TSS
	ltr	ax

	mov	r8, rdi
	mov	r9, rsi
	mov	r10d, 1 << 5 | 1 << 9 | 1 << 10	; PAE, OSFXSR, OSXMMEXCPT
	mov	eax, 1
	cpuid
	bt	ecx, 26			; XSAVE
	jnc	.noxsave
	bts	r10d, 18
.noxsave:
	xor	eax, eax
	cpuid
	cmp	eax, 7
	jb	.cr
	mov	eax, 7
	xor	ecx, ecx
	cpuid
	bt	ebx, 0			; FSGSBASE
	jnc	.cr
	bts	r10d, 16
.cr:
	mov	cr4, r10
	mov	eax, 1 << 31 | 1 << 16 | 1 << 5 | 1 << 4 | 1 << 1 | 1
	mov	cr0, rax		; PG, WP, NE, ET, MP, PE
	bt	r10d, 18
	jnc	.apic
	mov	eax, 0xd
	xor	ecx, ecx
	cpuid
	and	eax, 0xe7		; x87, SSE, AVX, AVX-512: what Go code uses
	mov	ecx, eax
	and	ecx, 0xe0		; AVX-512 has three parts or none
	cmp	ecx, 0xe0
	je	.xcr
	and	eax, 7
.xcr:
	xor	ecx, ecx
	xor	edx, edx
	xsetbv

.apic:
	mov	ecx, 0xc0000080		; EFER.SCE: SYSCALL arrives at its stub
	rdmsr
	or	eax, 1
	wrmsr
	mov	ecx, 0xc0000081		; STAR
	xor	eax, eax
	mov	edx, SEL_KERNEL_CODE
	wrmsr
	inc	ecx			; LSTAR
	mov	eax, SYSCALL_ENTRY
	xor	edx, edx
	wrmsr
	mov	ecx, 0xc0000084		; FMASK
	mov	eax, FLAGS_OFF
	wrmsr
	mov	al, 0xff		; the old interrupt controllers are silent
	out	0x21, al
	out	0xa1, al
	mov	ecx, 0x1b		; IA32_APIC_BASE
	rdmsr
	and	eax, ~(1 << 10 | 1 << 11)	; from x2APIC it is left by way of off
	wrmsr
	or	eax, 1 << 11
	wrmsr
	lapic_write LAPIC_SVR, 0x100 | VECTOR_SPURIOUS
	lapic_write LAPIC_TPR, 0
	lapic_write LAPIC_LINT0, MASKED
	lapic_write LAPIC_LINT1, MASKED
	lapic_write LAPIC_DIVIDE, 0xb	; by 1
	lapic_write LAPIC_TIMER, VECTOR_TIMER	; one-shot
	mov	eax, SEL_USER_DATA
	mov	ds, eax
	mov	es, eax
	xor	eax, eax
	mov	fs, eax
	mov	gs, eax
	push	SEL_USER_DATA
	push	r9
	push	0x202			; RFLAGS: interrupts on
	push	SEL_USER_CODE
	push	r8
	xor	ebx, ebx
	xor	ecx, ecx
	xor	edx, edx
	xor	ebp, ebp
	iretq

	align	8
gdtr:	dw GDT_SIZE - 1
	dq GDT
idtr:	dw VECTOR_END*16 - 1
	dq IDT

; interrupt notes an interrupt in Control.IRQs, and may divert ring 3.
INT_FRAME	equ CONTROL_ADDR + C_INTERRUPT

interrupt:
	push	rax
	push	rcx
	mov	ecx, [rsp+16]
	mov	eax, 63			; the timer's bit
	sub	ecx, VECTOR_PIN
	cmp	ecx, NUM_PINS
	cmovb	eax, ecx
	jb	.set
	cmp	ecx, VECTOR_MSI - VECTOR_PIN
	jne	.set
	mov	eax, 62
.set:
	lock bts qword [CONTROL_ADDR+C_IRQS], rax
	mov	ecx, LAPIC_EOI
	mov	dword [rcx], 0
	test	byte [rsp+32], 3	; CS: from ring 3?
	jz	.back
	bt	qword [CONTROL_ADDR+C_DIVERTED], rax
	jnc	.back
	cmp	qword [CONTROL_ADDR+C_ENTRY], 0
	je	.back
	cmp	qword [CONTROL_ADDR+C_INT_BUSY], 0
	jne	.back
	mov	rcx, [rsp+48]		; RSP
%assign i 0
%rep 2
	cmp	rcx, [CONTROL_ADDR+C_MASKED+i*16]
	jb	.free%[i]
	cmp	rcx, [CONTROL_ADDR+C_MASKED+i*16+8]
	jb	.back
.free%[i]:
%assign i i+1
%endrep
	; abi.TrapFrame: what was interrupted, as the monitor does.
	mov	[INT_FRAME+15*8], rcx
	mov	[INT_FRAME+18*8], rax	; the bit
	mov	qword [INT_FRAME+21*8], 1	; Busy
	mov	[INT_FRAME+0*8], r8
	mov	[INT_FRAME+1*8], r9
	mov	[INT_FRAME+2*8], r10
	mov	[INT_FRAME+3*8], r11
	mov	[INT_FRAME+4*8], r12
	mov	[INT_FRAME+5*8], r13
	mov	[INT_FRAME+6*8], r14
	mov	[INT_FRAME+7*8], r15
	mov	[INT_FRAME+8*8], rdi
	mov	[INT_FRAME+9*8], rsi
	mov	[INT_FRAME+10*8], rbp
	mov	[INT_FRAME+11*8], rbx
	mov	[INT_FRAME+12*8], rdx
	mov	rax, [rsp+8]
	mov	[INT_FRAME+13*8], rax
	mov	rax, [rsp]
	mov	[INT_FRAME+14*8], rax
	mov	rax, [rsp+24]
	mov	[INT_FRAME+16*8], rax
	mov	rax, [rsp+40]
	mov	[INT_FRAME+17*8], rax
	mov	rax, [CONTROL_ADDR+C_ENTRY]
	mov	[rsp+24], rax
	mov	qword [rsp+40], 0x202
	mov	rax, [CONTROL_ADDR+C_TRAP_STACK]
	mov	[rsp+48], rax
.back:
	pop	rcx
	pop	rax
	add	rsp, 8
spurious:
	iretq

; resume is the way back. RFLAGS are those that a program may set, with
; interrupts on.
resume:
	mov	rax, [INT_FRAME+16*8]
	mov	[rsp], rax
	mov	rax, [INT_FRAME+17*8]
	and	eax, 0xcd5
	or	eax, 0x202
	mov	[rsp+16], rax
	mov	rax, [INT_FRAME+15*8]
	mov	[rsp+24], rax
	mov	qword [INT_FRAME+21*8], 0
	mov	r8, [INT_FRAME+0*8]
	mov	r9, [INT_FRAME+1*8]
	mov	r10, [INT_FRAME+2*8]
	mov	r11, [INT_FRAME+3*8]
	mov	r12, [INT_FRAME+4*8]
	mov	r13, [INT_FRAME+5*8]
	mov	r14, [INT_FRAME+6*8]
	mov	r15, [INT_FRAME+7*8]
	mov	rdi, [INT_FRAME+8*8]
	mov	rsi, [INT_FRAME+9*8]
	mov	rbp, [INT_FRAME+10*8]
	mov	rbx, [INT_FRAME+11*8]
	mov	rdx, [INT_FRAME+12*8]
	mov	rax, [INT_FRAME+13*8]
	mov	rcx, [INT_FRAME+14*8]
	iretq

timer:
	mov	eax, 0xffffffff
	cmp	rdi, rax
	cmovb	rax, rdi
	mov	ecx, LAPIC_INITIAL
	mov	[rcx], eax
	iretq

; service: RAX is the number.
service:
	cmp	rax, SERVICE_END
	jae	.bad
	jmp	[.table+rax*8]
.bad:
	mov	eax, 1
	iretq
	align	8
.table:
	dq	idle, svcMap, ports, seal, calibrate, clock, reset, setfs, unmask, resume, timer
SERVICE_END	equ ($ - .table) / 8

idle:
	mov	eax, 0xffffffff
	cmp	rdi, rax
	cmovb	rax, rdi
	mov	ecx, LAPIC_INITIAL
	mov	[rcx], eax
	cmp	qword [CONTROL_ADDR+C_IRQS], 0
	jne	.end			; one has come since ring 3 looked
	sti
	hlt
	cli
.end:
	iretq

; svcMap maps a range that is none of the guest's memory and no interrupt
; controller, before the seal.
svcMap:
	cmp	dword [R_SEALED], 0
	jne	refused
	mov	rax, rdi
	or	rax, rsi
	test	eax, 4095
	jnz	refused
	test	rsi, rsi
	jz	refused
	mov	rax, rdi
	add	rax, rsi
	jc	refused
	mov	rcx, rax
	shr	rcx, 46
	jnz	refused
	; Of the first MiB, what firmware has above the guest's pages, and only to
	; read; else what is behind the memory.
	cmp	rdi, [R_RAM_END]
	jae	.above
	test	rdx, rdx
	jnz	refused
	cmp	rdi, STACK_HIGH
	jb	refused
	cmp	rax, STUB
	ja	refused
.above:
	mov	ecx, 0xfef00000		; the controllers: 0xfec0..., 0xfec1..., 0xfee0...
	cmp	rdi, rcx
	jae	.do
	mov	ecx, IOAPIC
	cmp	rax, rcx
	ja	.controllers
.do:
	push	rdi
	push	rsi
	push	r8
	push	r9
	push	r10
	push	rdx
	mov	rsi, rax
	mov	rcx, MAP_R
	mov	rax, MAP_DEVICE
	test	rdx, rdx
	cmovz	rax, rcx
	mov	rdx, rax
	call	mapRange
	mov	rcx, cr3
	mov	cr3, rcx
	pop	rdx
	pop	r10
	pop	r9
	pop	r8
	pop	rsi
	pop	rdi
	iretq
.controllers:
	mov	ecx, IOAPIC2+0x1000
	cmp	rdi, rcx
	jb	refused
	mov	ecx, LAPIC
	cmp	rax, rcx
	jbe	.do
refused:
	mov	eax, 1
	iretq

; mapRange maps [RDI, RSI) to itself with the rights in RDX, in 2 MiB pages where
; they fit; an entry that is there is replaced. RAX is 1 if there are too few
; pages for tables. It clobbers RCX, RDI, R8, R9, R10, R11.
mapRange:
	mov	r11, 0x000ffffffffff000
.next:
	cmp	rdi, rsi
	jae	.ok
	mov	r10d, 12
	mov	r8d, 4096
	test	edi, 0x1fffff
	jnz	.walk
	lea	rax, [rdi+0x200000]
	cmp	rax, rsi
	ja	.walk
	mov	r10d, 21
	mov	r8d, 0x200000
.walk:
	mov	r9, [R_ROOT]
	mov	ecx, 39
.level:
	mov	rax, rdi
	shr	rax, cl
	and	eax, 511
	lea	r9, [r9+rax*8]
	cmp	ecx, r10d
	je	.leaf
	mov	rax, [r9]
	test	al, al
	js	.fail			; a large page is there
	test	al, 1
	jnz	.have
	mov	rax, [R_NEXT]
	cmp	rax, [R_LIMIT]
	jae	.fail
	add	qword [R_NEXT], 4096
	or	rax, PTE_TABLE
	mov	[r9], rax
.have:
	and	rax, r11
	mov	r9, rax
	sub	ecx, 9
	jmp	.level
.leaf:
	mov	rax, rdi
	or	rax, rdx
	cmp	r10d, 12
	je	.store
	or	rax, 0x80
.store:
	mov	[r9], rax
	add	rdi, r8
	jmp	.next
.ok:
	xor	eax, eax
	ret
.fail:
	mov	eax, 1
	ret

; ports opens I/O ports, but none by which a device is told to write memory: the
; ISA bus's DMA controllers and QEMU's fw_cfg.
ports:
	cmp	dword [R_SEALED], 0
	jne	refused
	mov	rcx, rdi
	mov	rax, rdi
	add	rax, rsi
	jc	refused
	cmp	rax, 0x10000
	ja	refused
	mov	edx, eax		; the end
%macro forbid 2
	cmp	ecx, %2
	jae	%%fine
	cmp	edx, %1
	ja	refused
%%fine:
%endmacro
	forbid	0x00, 0x20
	forbid	0x80, 0xa0
	forbid	0xc0, 0xe0
	forbid	0x510, 0x520
.next:
	cmp	ecx, edx
	jae	.done
	btr	dword [IO_BITMAP], ecx
	inc	ecx
	jmp	.next
.done:
	xor	eax, eax
	iretq

; seal ends what widens ring 3's reach, and takes PCI configuration away but for
; the reset register in its midst, 0xcf9.
seal:
	mov	dword [R_SEALED], 1
	mov	byte [IO_BITMAP+0xcf8/8], 0xfd
	xor	eax, eax
	iretq

; calibrate waits for RDI counts of the timer, which stays silent. Both ends are
; the moment between two looks at the time stamp counter, the closest of some:
; what delays the processor does not count.
calibrate:
	push	rbx
	push	rsi
	push	r8
	push	r9
	push	r10
	mov	ecx, LAPIC_TIMER
	mov	dword [rcx], MASKED | VECTOR_TIMER
	mov	ecx, LAPIC_INITIAL
	mov	dword [rcx], 0xffffffff
	mov	esi, LAPIC_CURRENT
	call	bothclocks
	push	r11
	mov	r8d, ebx
.wait:
	mov	ecx, r8d
	sub	ecx, [rsi]
	cmp	ecx, edi
	jae	.done
	pause
	jmp	.wait
.done:
	call	bothclocks
	mov	rax, r11
	pop	rcx
	sub	rax, rcx
	mov	edx, r8d
	sub	edx, ebx
	mov	ecx, LAPIC_INITIAL
	mov	dword [rcx], 0
	mov	ecx, LAPIC_TIMER
	mov	dword [rcx], VECTOR_TIMER
	pop	r10
	pop	r9
	pop	r8
	pop	rsi
	pop	rbx
	iretq

; bothclocks returns the time stamp counter in R11 and the timer's, at RSI, in
; EBX. It clobbers RAX, RCX, RDX, R9, R10.
bothclocks:
	mov	r9, -1			; the narrowest window
	mov	r10d, 8
.try:
	rdtsc
	shl	rdx, 32
	lea	rcx, [rax+rdx]
	push	rbx
	mov	ebx, [rsi]
	rdtsc
	shl	rdx, 32
	add	rax, rdx
	sub	rax, rcx
	cmp	rax, r9
	jae	.worse
	mov	r9, rax
	shr	rax, 1
	lea	r11, [rax+rcx]
	add	rsp, 8
	jmp	.next
.worse:
	pop	rbx
.next:
	dec	r10d
	jnz	.try
	ret

; clock gives KVM the address of a clock of its own, which must be in the clock page:
; KVM writes there whatever the page tables say.
clock:
	cmp	dword [R_SEALED], 0
	jne	refused
	cmp	rdi, 1
	ja	refused
	cmp	rsi, CLOCK_ADDR
	jb	refused
	cmp	rsi, CLOCK_ADDR + 4096 - 64
	ja	refused
	test	esi, 63
	jnz	refused
	mov	ecx, 0x4b564d01		; MSR_KVM_SYSTEM_TIME_NEW
	sub	ecx, edi		; MSR_KVM_WALL_CLOCK_NEW
	mov	rax, rsi
	mov	rdx, rsi
	shr	rdx, 32
	test	edi, edi
	jnz	.write
	or	eax, 1			; enabled
.write:
	wrmsr
	xor	eax, eax
	iretq

reset:
	lidt	[.nothing]
	int3
.nothing: dw 0
	dq 0

setfs:
	mov	ecx, 0xc0000100		; FS.base
	mov	rax, rdi
	mov	rdx, rdi
	shr	rdx, 32
	cmp	edx, 0x8000		; a lower canonical address, or it would fault
	jae	refused
	wrmsr
	xor	eax, eax
	iretq

; unmask lets a pin interrupt, edge-triggered, this processor.
unmask:
	cmp	rdi, NUM_PINS
	jae	refused
	push	rdi
	mov	ecx, IOAPIC
	cmp	edi, IOAPIC_PINS
	jb	.which
	mov	ecx, IOAPIC2
	sub	edi, IOAPIC_PINS
.which:
	lea	eax, [rdi*2+0x11]	; the upper half: the processor's number
	mov	[rcx], eax
	mov	edx, LAPIC + 0x20
	mov	edx, [rdx]
	and	edx, 0xff000000
	mov	[rcx+0x10], edx
	dec	eax
	mov	[rcx], eax
	pop	rdi
	lea	edx, [rdi+VECTOR_PIN]
	mov	[rcx+0x10], edx
	xor	eax, eax
	iretq

; fatal ends the machine for an exception that ring 3 cannot take: the stack has
; the vector, the error code, RIP, CS, RFLAGS, RSP, SS.
fatal:
	serial_init
	mov	esi, .exception
	call	print
	mov	rbx, [rsp]
	call	hex
	mov	esi, .at
	call	print
	mov	rbx, [rsp+16]
	call	hex
	mov	esi, .address
	call	print
	mov	rbx, cr2
	call	hex
	mov	esi, .end
	call	print
	mov	al, 0x31
	out	0xf4, al
	cli
.halt:
	hlt
	jmp	.halt
.exception:	db 10, "tailor: the guest was stopped: exception ", 0
.at:		db " at rip ", 0
.address:	db ", cr2 ", 0
.end:		db ", which its runtime could not handle", 10, 0

; hex writes RBX.
hex:
	mov	al, '0'
	call	putc
	mov	al, 'x'
	call	putc
	mov	r8d, 16
	test	rbx, rbx
	jz	.digit
.skip:
	rol	rbx, 4
	test	bl, 15
	jnz	.print
	dec	r8d
	jmp	.skip
.digit:
	mov	r8d, 1
.next:
	rol	rbx, 4
.print:
	mov	eax, ebx
	and	eax, 15
	add	al, '0'
	cmp	al, '9'
	jbe	.put
	add	al, 'a'-'0'-10
.put:
	call	putc
	dec	r8d
	jnz	.next
	ret

serial_print
