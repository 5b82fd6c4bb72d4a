; A kernel for the tests of package qemu, started by PVH (Xen's
; docs/misc/pvh.pandoc): 32-bit protected mode, paging off, EBX = hvm_start_info.
; It writes its command line to COM1 and does what the line's first character says:
;   0..9  tells this exit code on the control channel, COM2, and resets
;   w     waits for a byte on COM2, then exits with it
;   x     resets without a word
;   h     hangs
;   b     tells nonsense on the control channel, then hangs
; nasm -f bin -o kernel.elf kernel.asm
bits 32
org 0x100000
com1 equ 0x3f8
com2 equ 0x2f8

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

start:	mov esp, stack
	mov esi, [ebx+24]	; hvm_start_info.cmdline_paddr
	mov dx, com1
	mov bl, [esi]		; the first character
.line:	lodsb
	test al, al
	jz .end
	call put
	jmp .line
.end:	mov al, 10
	call put
	mov dx, com2
	cmp bl, 'x'
	je reset
	cmp bl, 'h'
	je hang
	cmp bl, 'b'
	je nonsense
	cmp bl, 'w'
	je listen
	movzx eax, bl
	sub eax, '0'
exit:	push eax
	mov esi, word_exit
	call puts
	pop eax
	mov ecx, 100
	call digit
	mov ecx, 10
	call digit
	mov ecx, 1
	call digit
	mov al, 10
	call put
reset:	lidt [none]
	int3			; a triple fault
hang:	hlt
	jmp hang

nonsense:
	mov esi, word_bad
	call puts
	jmp hang

listen:	mov esi, word_ready
	mov dx, com1
	call puts
.poll:	mov dx, com2+5
	in al, dx
	test al, 1
	jz .poll
	mov dx, com2
	in al, dx
	movzx eax, al
	jmp exit

; digit writes eax/ecx, leaves the remainder in eax.
digit:	push edx
	xor edx, edx
	div ecx
	mov edi, edx
	pop edx
	add al, '0'
	call put
	mov eax, edi
	ret

; put writes al to the port dx once it is ready.
put:	push eax
	add dx, 5
.full:	in al, dx
	test al, 0x20
	jz .full
	sub dx, 5
	pop eax
	out dx, al
	ret

puts:	lodsb
	test al, al
	jz .done
	call put
	jmp puts
.done:	ret

word_exit:	db "exit ", 0
word_ready:	db "ready", 10, 0
word_bad:	db "exit for good", 10, 0
none:	dw 0
	dd 0
	times 256 db 0
stack:
end:
