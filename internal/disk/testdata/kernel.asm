; A program for the tests: entered as the x86/HVM direct boot ABI has it, it
; writes what it was given to COM1 and ends QEMU by its device isa-debug-exit.
;
; nasm -f bin -o kernel.bin kernel.asm

COM1 equ 0x3f8

	bits 32
	org 0x100000

	jmp start
	align 16
; patched by the test, offset 16: what lies behind this segment.
data_start: dd 0
data_end:   dd 0
zero_end:   dd 0

start:
	mov [stack_before], esp
	mov esp, stack_top
	mov ebp, ebx
	mov esi, hello
	call say
	cmp dword [ebp], 0x336ec578
	mov esi, no_info
	jne bad
	mov eax, cr0
	test eax, eax
	mov esi, paging
	js bad
	pushf
	pop eax
	test eax, 0x200
	mov esi, interrupts
	jnz bad

	mov esi, cmdline
	call say
	mov esi, [ebp + 24]
	call say
	mov esi, cmdline_end
	call say

	mov esi, rsdp
	mov eax, [ebp + 32]
	test eax, eax
	jz .no_rsdp
	cmp dword [eax], 'RSD '
	mov esi, no_info
	jne bad
	mov esi, rsdp
	call say
	call say_hex
	mov esi, newline
	call say
	mov eax, [ebp + 32]
	mov ebx, [eax + 16]	; the RSDT, and its signature
	mov esi, no_rsdt
	cmp dword [ebx], 'RSDT'
	jne bad
.no_rsdp:

	mov edi, [ebp + 40]	; memory map
	mov ecx, [ebp + 48]
.range:
	mov esi, memory
	call say
	mov eax, [edi + 4]
	call say_hex
	mov eax, [edi]
	call say_hex
	mov esi, space
	call say
	mov eax, [edi + 12]
	call say_hex
	mov eax, [edi + 8]
	call say_hex
	mov esi, space
	call say
	mov eax, [edi + 16]
	call say_hex
	mov esi, newline
	call say
	add edi, 24
	dec ecx
	jnz .range

	mov esi, [data_start]	; the checksum of what was loaded
	xor edx, edx
	xor ebx, ebx
.word:
	cmp esi, [data_end]
	jae .summed
	lodsd
	add edx, eax
	add ebx, edx
	jmp .word
.summed:
	mov edi, esi
	mov esi, sum
	call say
	mov eax, edx
	call say_hex
	mov eax, ebx
	call say_hex
	mov esi, newline
	call say

	mov ecx, [zero_end]
	sub ecx, edi
	shr ecx, 2
	xor eax, eax
	repe scasd
	mov esi, not_zero
	jne bad
	mov esi, end
	call say
	mov dx, 0xf4
	mov al, 0x10
	out dx, al
halt:
	cli
	hlt
	jmp halt

bad:
	call say
	mov dx, 0xf4
	mov al, 0x11
	out dx, al
	jmp halt

say:
	push eax
.next:
	lodsb
	test al, al
	jz .done
	call say_byte
	jmp .next
.done:
	pop eax
	ret

say_byte:
	push edx
	push eax
	mov dx, COM1 + 5
.wait:
	in al, dx
	test al, 0x20
	jz .wait
	pop eax
	mov dx, COM1
	out dx, al
	pop edx
	ret

say_hex:
	push ecx
	push edx
	mov edx, eax
	mov ecx, 8
.digit:
	rol edx, 4
	mov al, dl
	and al, 15
	cmp al, 10
	jb .low
	add al, 'a' - '0' - 10
.low:
	add al, '0'
	call say_byte
	loop .digit
	pop edx
	pop ecx
	ret

hello:       db 13, 10, "kernel: started", 10, 0
cmdline:     db "kernel: command line [", 0
cmdline_end: db "]"
newline:     db 10, 0
rsdp:        db "kernel: rsdp ", 0
memory:      db "kernel: memory ", 0
space:       db " ", 0
sum:         db "kernel: sum ", 0
end:         db "kernel: end", 10, 0
no_info:     db "kernel: no hvm_start_info", 10, 0
no_rsdt:     db "kernel: no RSDT", 10, 0
paging:      db "kernel: entered with paging", 10, 0
interrupts:  db "kernel: entered with interrupts", 10, 0
not_zero:    db "kernel: what is behind the data is not zero", 10, 0

	align 16
stack_before: dd 0
	times 256 db 0
stack_top:
	times 4096 - ($ - $$) db 0
