; The loader for UEFI: the code of BOOTX64.EFI, whose headers pe.go writes and
; which has the program's memory image as a section of its own. It takes the
; machine's memory map and ACPI's root pointer, ends the firmware's services,
; moves the memory image to its place and enters it as the x86/HVM direct boot
; ABI has it (see bios.asm). What goes wrong is said in one line, on the console
; and on COM1; then the processor halts.
;
; Numbers are offsets of the UEFI specification 2.10: sections 4.3 (system
; table), 7 (boot services), 9.1 (loaded image), 13.4 and 13.5 (files).
;
; nasm -f bin -o uefi.bin uefi.asm

%include "hvm.inc"

TEXT equ 0x1000			; pe.go has the same
DATA equ 0x2000			; zeros, DATA_BYTES long

; Where what outlives the firmware lies: LOW_PAGES pages between LOW_FLOOR,
; which is above what the program writes to before it has read it, and 640 KiB.
LOW_PAGES   equ 6
LOW_FLOOR   equ 0x60000
LOW_INFO    equ 0x200
LOW_MEMMAP  equ 0x400		; MAX_RANGES entries of 24 bytes
LOW_CMDLINE equ 0x1000		; MAX_CMDLINE bytes and a zero
LOW_STACK   equ 0x6000

; Holes in low memory that the firmware wants back after a sleep or in a call
; that never comes are memory, if they lie between these.
HOLE_LOW  equ 0x100000
HOLE_HIGH equ 0x1000000

; boot services
ALLOCATE_PAGES     equ 0x28
GET_MEMORY_MAP     equ 0x38
HANDLE_PROTOCOL    equ 0x98
EXIT_BOOT_SERVICES equ 0xe8

; kinds of memory, section 7.2
LOADER_CODE equ 1
LOADER_DATA equ 2

COM1 equ 0x3f8

	bits 64
	default rel
	org TEXT

	jmp short start
	align 4
	db "TLRU"
	dd 0, 0

; What this program is like: patched by loader.go, offset 16.
load:        dd 0		; where the memory image goes
file_bytes:  dd 0		; its bytes in the section, a multiple of 4
mem_bytes:   dd 0		; with what is zero behind them
entry:       dd 0
sum_a:       dd 0
sum_b:       dd 0
payload_rva: dd 0		; the section
	dd 0

start:
	push rbp
	sub rsp, 0x40		; arguments 1 to 4 have room here, 5 at rsp+0x20
	mov [handle], rcx
	mov [system], rdx
	mov rax, [rdx + 0x60]
	mov [services], rax
	mov rax, 0x1336ec578	; magic and version
	mov [info], rax
	lea rax, [load]
	sub rax, TEXT + 16
	mov ecx, [payload_rva]
	add rax, rcx
	mov [payload], rax
	call check_sum
	call take_low
	call read_cmdline
	call find_rsdp
	call stage
	mov byte [tries], 8
.again:
	call get_map
	call make_map
	call check_memory
	mov rcx, [handle]
	mov rdx, [map_key]
	mov rax, [services]
	call [rax + EXIT_BOOT_SERVICES]
	test rax, rax
	jz enter
	dec byte [tries]	; the map has changed meanwhile
	jnz .again
	lea rsi, [no_exit]
	jmp fail

; --- before the firmware's end. Each has its own frame, aligned for calls.

; check_sum adds the words of the payload up.
check_sum:
	mov rsi, [payload]
	mov ecx, [file_bytes]
	shr ecx, 2
	xor edx, edx
	xor edi, edi
.next:
	lodsd
	add edx, eax
	add edi, edx
	dec ecx
	jnz .next
	lea rsi, [damaged]
	cmp edx, [sum_a]
	jne fail
	cmp edi, [sum_b]
	jne fail
	ret

; take_low gets the low pages.
take_low:
	sub rsp, 0x28
	mov qword [low], 0x9ffff
	mov ecx, 1		; below an address
	mov edx, LOADER_CODE
	mov r8d, LOW_PAGES
	lea r9, [low]
	mov rax, [services]
	call [rax + ALLOCATE_PAGES]
	lea rsi, [no_low]
	test rax, rax
	jnz fail
	cmp qword [low], LOW_FLOOR
	jb fail
	add rsp, 0x28
	ret

; read_cmdline reads TAILOR.TXT from where this was loaded, if it is there.
read_cmdline:
	sub rsp, 0x38
	mov rcx, [handle]
	lea rdx, [loaded_image_guid]
	lea r8, [protocol]
	mov rax, [services]
	call [rax + HANDLE_PROTOCOL]
	test rax, rax
	jnz .none
	mov rax, [protocol]
	mov rcx, [rax + 0x18]	; the device
	test rcx, rcx
	jz .none
	lea rdx, [file_system_guid]
	lea r8, [protocol]
	mov rax, [services]
	call [rax + HANDLE_PROTOCOL]
	test rax, rax
	jnz .none
	mov rcx, [protocol]
	lea rdx, [volume]
	call [rcx + 8]		; open volume
	test rax, rax
	jnz .bad
	mov rcx, [volume]
	lea rdx, [file]
	lea r8, [file_name]
	mov r9d, 1		; read
	mov qword [rsp + 0x20], 0
	call [rcx + 8]		; open
	mov rcx, 0x800000000000000e	; not found
	cmp rax, rcx
	je .none
	test rax, rax
	jnz .bad
	mov qword [bytes], MAX_CMDLINE + 1
	mov rcx, [file]
	lea rdx, [bytes]
	mov r8, [low]
	add r8, LOW_CMDLINE
	call [rcx + 0x20]	; read
	test rax, rax
	jnz .bad
	lea rsi, [long_cmdline]
	cmp qword [bytes], MAX_CMDLINE
	ja fail
	call clean_cmdline
	add rsp, 0x38
	ret
.bad:
	lea rsi, [bad_cmdline]
	jmp fail
.none:
	mov rax, [low]
	mov byte [rax + LOW_CMDLINE], 0
	add rsp, 0x38
	ret

; clean_cmdline makes spaces of line ends, cuts trailing ones, and adds a zero.
clean_cmdline:
	mov rsi, [low]
	add rsi, LOW_CMDLINE
	mov rdi, rsi		; behind the last character
	mov rcx, [bytes]
.next:
	sub rcx, 1
	jb .end
	lodsb
	test al, al
	jz .end
	cmp al, 26
	je .end
	cmp al, ' '
	jae .keep
	mov byte [rsi - 1], ' '
	jmp .next
.keep:
	je .next
	mov rdi, rsi
	jmp .next
.end:
	mov byte [rdi], 0
	ret

; find_rsdp looks in the configuration table, for ACPI 2 first.
find_rsdp:
	lea rsi, [acpi2_guid]
	call .look
	test rax, rax
	jnz .found
	lea rsi, [acpi1_guid]
	call .look
.found:
	mov [info.rsdp], rax
	ret
.look:
	mov rdx, [system]
	mov rcx, [rdx + 0x68]
	mov rdx, [rdx + 0x70]
	mov r8, [rsi]
	mov r9, [rsi + 8]
	xor eax, eax
.next:
	sub rcx, 1
	jb .end
	add rdx, 24
	cmp r8, [rdx - 24]
	jne .next
	cmp r9, [rdx - 16]
	jne .next
	mov rax, [rdx - 8]
.end:
	ret

; stage makes sure that the payload lies where 32 bits reach it, and not below
; where it goes: so it can be moved upwards byte by byte even over itself.
stage:
	mov rax, [payload]
	mov ecx, [load]
	cmp rax, rcx
	jb .move
	mov ecx, [file_bytes]
	add rax, rcx
	shr rax, 32
	jnz .move
	ret
.move:
	sub rsp, 0x28
	mov eax, -1
	mov [staged], rax
	mov ecx, 1
	mov edx, LOADER_DATA
	mov r8d, [file_bytes]
	add r8, 4095
	shr r8, 12
	lea r9, [staged]
	mov rax, [services]
	call [rax + ALLOCATE_PAGES]
	mov rdi, [staged]
	mov ecx, [load]
	lea rsi, [no_room]
	test rax, rax
	jnz fail
	cmp rdi, rcx
	jb fail
	mov rsi, [payload]
	mov [payload], rdi
	mov ecx, [file_bytes]
	shr ecx, 2
	rep movsd
	add rsp, 0x28
	ret

; get_map gets the firmware's memory map.
get_map:
	sub rsp, 0x38
	mov qword [map_bytes], MAP_BYTES
	lea rcx, [map_bytes]
	lea rdx, [map]
	lea r8, [map_key]
	lea r9, [map_entry]
	lea rax, [version]
	mov [rsp + 0x20], rax
	mov rax, [services]
	call [rax + GET_MEMORY_MAP]
	lea rsi, [no_map]
	test rax, rax
	jnz fail
	add rsp, 0x38
	ret

; make_map makes the program's memory map: in ascending order, ranges of one
; type joined. RBX is the last entry made, R8 what starts are not below any more.
make_map:
	push rbx
	xor r8d, r8d
	mov rbx, [low]
	add rbx, LOW_MEMMAP - 24
	mov dword [info.ranges], 0
.next:
	call lowest
	test rdx, rdx
	jz .done
	lea r8, [r9 + 1]
	mov r10, [rdx + 24]	; pages
	shl r10, 12
	jz .next
	call type
	cmp dword [info.ranges], 0
	je .new
	mov rcx, [rbx]
	add rcx, [rbx + 8]
	cmp rcx, r9
	jne .new
	cmp eax, [rbx + 16]
	jne .new
	add [rbx + 8], r10
	jmp .next
.new:
	lea rsi, [many_ranges]
	cmp dword [info.ranges], MAX_RANGES
	je fail
	inc dword [info.ranges]
	add rbx, 24
	mov [rbx], r9
	mov [rbx + 8], r10
	mov [rbx + 16], rax
	jmp .next
.done:
	pop rbx
	ret

; lowest returns in RDX the descriptor with the lowest start that is not below
; R8, and the start in R9. RDX is 0 if there is none.
lowest:
	lea rsi, [map]
	mov rcx, rsi
	add rcx, [map_bytes]
	xor edx, edx
	mov r9, -1
.next:
	cmp rsi, rcx
	jae .done
	mov rax, [rsi + 8]
	cmp rax, r8
	jb .skip
	cmp rax, r9
	jae .skip
	mov r9, rax
	mov rdx, rsi
.skip:
	add rsi, [map_entry]
	jmp .next
.done:
	ret

; type returns in EAX what the range of descriptor RDX, from R9 on R10 bytes
; long, is to the program: as ACPI has it (6.4, section 15.4).
type:
	mov ecx, [rdx]
	mov eax, 2		; reserved
	cmp ecx, 14
	ja .done
	lea rsi, [types]
	movzx eax, byte [rsi + rcx]
	cmp ecx, 5		; code and data of runtime services
	je .hole
	cmp ecx, 6
	je .hole
	cmp ecx, 10		; ACPI's storage
	je .hole
.done:
	ret
.hole:
	cmp r9, HOLE_LOW
	jb .done
	lea rcx, [r9 + r10]
	cmp rcx, HOLE_HIGH
	ja .done
	mov rsi, [info.rsdp]	; not where the tables are
	cmp rsi, r9
	jb .free
	cmp rsi, rcx
	jb .done
.free:
	mov eax, 1
	ret
types:	db 2, 1, 1, 1, 1, 2, 2, 1, 5, 3, 4, 2, 2, 2, 7

; check_memory looks for one range of memory with the whole program in it.
check_memory:
	mov rdx, [low]
	add rdx, LOW_MEMMAP
	mov ecx, [info.ranges]
	mov r8d, [load]
	mov r9d, [mem_bytes]
	add r9, r8
.next:
	sub ecx, 1
	jb .none
	mov rax, [rdx]
	mov r10, rax
	add r10, [rdx + 8]
	add rdx, 24
	cmp dword [rdx - 8], 1
	jne .next
	cmp rax, r8
	ja .next
	cmp r10, r9
	jb .next
	ret
.none:
	mov eax, [load]
	mov ecx, [mem_bytes]
	lea rax, [rax + rcx + 0xfffff]
	shr rax, 20
	lea rdi, [little_memory]
	lea rsi, [mib]
	jmp fail_number

; --- after the firmware's end

enter:
	cli
	cld
	mov al, 0xff
	out 0x21, al
	out 0xa1, al
	mov rbp, [low]
	lea rax, [rbp + LOW_CMDLINE]
	mov [info.cmdline], rax
	lea rax, [rbp + LOW_MEMMAP]
	mov [info.memmap], rax
	lea rsi, [info]
	lea rdi, [rbp + LOW_INFO]
	mov ecx, INFO_BYTES
	rep movsb
	lea rsi, [mover]
	mov rdi, rbp
	mov ecx, mover_end - mover
	rep movsb
	lea rax, [rbp + gdt - mover]
	mov [rbp + gdtr.base - mover], rax
	lgdt [rbp + gdtr - mover]
	lea rsp, [rbp + LOW_STACK]
	mov esi, [payload]
	mov edi, [load]
	mov ebx, [file_bytes]
	mov edx, [mem_bytes]
	sub edx, ebx
	shr ebx, 2
	shr edx, 2
	mov eax, [entry]
	push rax		; for the mover's RET
	push CODE_SELECTOR
	push rbp
	o64 retf

; mover is copied to the low pages, EBP, and runs there: it leaves paging, moves
; EBX words from ESI to EDI, makes EDX words behind them zero, and returns to the
; program.
	bits 32
mover:
	mov eax, DATA_SELECTOR
	mov ds, eax
	mov es, eax
	mov ss, eax
	mov fs, eax
	mov gs, eax
	mov eax, cr0
	and eax, 0x7fffffff
	mov cr0, eax
	push edx
	mov ecx, 0xc0000080	; EFER: long mode off
	rdmsr
	and eax, ~0x100
	wrmsr
	pop edx
	xor eax, eax
	mov cr4, eax
	mov eax, 0x11		; protection, and a processor with FPU
	mov cr0, eax
	mov ecx, ebx
	rep movsd
	mov ecx, edx
	xor eax, eax
	rep stosd
	mov eax, TASK_SELECTOR
	ltr ax
	lea ebx, [ebp + LOW_INFO]
	ret
	align 8, db 0
gdt:
	flat_gdt
gdtr:
	dw gdtr - gdt - 1
.base:	dq 0
mover_end:
	bits 64
%if mover_end - mover > LOW_INFO
%error "the mover does not fit"
%endif

; --- messages, while the firmware is there

%include "fail64.inc"

error:         db 13, 10, "tailor: error: ", 0
newline:       db 13, 10
nothing:       db 0
damaged:       db "the program in BOOTX64.EFI is damaged: wrong checksum", 0
no_low:        db "no free memory between 384 and 640 KiB", 0
no_room:       db "too little memory: no room for a copy of the program", 0
no_map:        db "the firmware gives no memory map", 0
no_exit:       db "the firmware does not end its services (ExitBootServices)", 0
many_ranges:   db "the firmware lists more than 128 ranges of memory", 0
little_memory: db "too little memory, or not in one piece: the program needs at least ", 0
mib:           db " MiB", 0
long_cmdline:  db "TAILOR.TXT has more than 16384 bytes", 0
bad_cmdline:   db "TAILOR.TXT cannot be read", 0

	align 8, db 0
loaded_image_guid:
	dd 0x5b1b31a1
	dw 0x9562, 0x11d2
	db 0x8e, 0x3f, 0x00, 0xa0, 0xc9, 0x69, 0x72, 0x3b
file_system_guid:
	dd 0x964e5b22
	dw 0x6459, 0x11d2
	db 0x8e, 0x39, 0x00, 0xa0, 0xc9, 0x69, 0x72, 0x3b
acpi2_guid:
	dd 0x8868e871
	dw 0xe4f1, 0x11d3
	db 0xbc, 0x22, 0x00, 0x80, 0xc7, 0x3c, 0x88, 0x81
acpi1_guid:
	dd 0xeb9d2d30
	dw 0x2d88, 0x11d3
	db 0x9a, 0x16, 0x00, 0x90, 0x27, 0x3f, 0xc1, 0x4d
file_name:
	dw __utf16__("\TAILOR.TXT"), 0

	times DATA - TEXT - ($ - $$) db 0

; --- data, which the firmware makes zero

MAP_BYTES equ 0x10000

	section .bss align=4096
handle:    resq 1
system:    resq 1
services:  resq 1
payload:   resq 1
low:       resq 1
staged:    resq 1
protocol:  resq 1
volume:    resq 1
file:      resq 1
bytes:     resq 1
map_bytes: resq 1
map_key:   resq 1
map_entry: resq 1
version:   resq 1
tries:     resq 1
info:      resb 24		; magic, version, flags, modules
.cmdline:  resq 1
.rsdp:     resq 1
.memmap:   resq 1
.ranges:   resd 1
           resd 1
line:      resw 256
map:       resb MAP_BYTES
