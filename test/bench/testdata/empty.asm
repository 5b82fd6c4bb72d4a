; A kernel that ends QEMU at once, through the device isa-debug-exit: what is left
; is QEMU's own start and end. Started by PVH (Xen's docs/misc/pvh.pandoc).
; nasm -f bin -o empty.elf empty.asm
bits 32
org 0x100000

ehdr:	db 0x7f, "ELF", 1, 1, 1, 0
	times 8 db 0
	dw 2, 3			; ET_EXEC, EM_386
	dd 1, start, phdr-$$, 0, 0
	dw 52, 32, 2, 0, 0, 0
phdr:	dd 1, 0, $$, $$, end-$$, end-$$, 7, 0x1000	; PT_LOAD
	dd 4, note-$$, note, note, note_end-note, note_end-note, 4, 4	; PT_NOTE
note:	dd 4, 4, 18		; XEN_ELFNOTE_PHYS32_ENTRY
	db "Xen", 0
	dd start
note_end:

start:	xor eax, eax
	out 0xf4, al		; QEMU's exit code is 2*AL + 1
.halt:	hlt
	jmp .halt
end:
