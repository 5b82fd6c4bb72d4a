; The boot sector of a disk: 440 bytes of the master boot record, whose rest is
; the protective partition table of the GPT. It loads the second stage, which
; lies in front of the first partition, and jumps to it.
;
; nasm -f bin -o mbr.bin mbr.asm

STAGE2_LBA     equ 36		; layout.go has the same
STAGE2_SECTORS equ 28
STAGE2         equ 0x7c00
FROM_DISK      equ STAGE2 + 4	; its entry point here

	bits 16
	org 0x600

start:
	cli
	xor ax, ax
	mov ss, ax
	mov sp, STAGE2
	mov ds, ax
	mov es, ax
	cld
	mov si, STAGE2		; out of the second stage's way
	mov di, 0x600
	mov cx, 256
	rep movsw
	jmp 0:moved

moved:
	sti
	mov [drive], dl
	call serial_init
	mov byte [tries], 3
.try:
	mov word [packet.count], STAGE2_SECTORS
	mov si, packet
	mov dl, [drive]
	mov ah, 0x42		; extended read
	int 0x13
	jnc .loaded
	xor ah, ah		; reset
	mov dl, [drive]
	int 0x13
	dec byte [tries]
	jnz .try
	mov si, unreadable
	jmp fail
.loaded:
	mov si, missing
	cmp dword [STAGE2 + 8], 'TLRB'
	jne fail
	mov dl, [drive]
	jmp 0:FROM_DISK
fail:
	call say
	jmp halt

%include "say16.inc"

unreadable: db 13, 10, "tailor: error: the BIOS cannot read the disk's first sectors", 13, 10, 0
missing:    db 13, 10, "tailor: error: no second stage at sector 36 of the disk", 13, 10, 0

tries: db 0
drive: db 0
	align 4
packet:
	db 16, 0
.count:	dw 0
	dw STAGE2, 0
	dq STAGE2_LBA

	times 440 - ($ - $$) db 0
