; The second stage for BIOS. It finds the machine's memory, loads the program's
; memory image to its place above 1 MiB, and enters it as the x86/HVM direct
; boot ABI has it (Xen's docs/misc/pvh.pandoc): protected mode without paging,
; EBX the address of an hvm_start_info.
;
; The disk is read in blocks of 2048 bytes, the sectors of a CD and four of a
; disk. What goes wrong is said in one line, then the processor halts.
;
; nasm -f bin -o bios.bin bios.asm

%include "hvm.inc"

LINE     equ 0x600		; a message
INFO     equ 0x1000		; hvm_start_info
MEMMAP   equ 0x1100		; MAX_RANGES entries
CMDLINE  equ 0x2000		; MAX_CMDLINE bytes and a zero
BUFFER   equ 0x10000		; CHUNK blocks
BUFSEG   equ BUFFER >> 4
CHUNK    equ 16			; blocks a read
BLOCK    equ 2048

	bits 16
	org 0x7c00

	jmp short from_cd	; El Torito, no emulation
	nop
	nop
	jmp short from_disk	; mbr.asm
	nop
	nop
	db "TLRB"
	dd 0

; What this disk is like: patched by loader.go, offset 16.
load:           dd 0		; where the memory image goes
file_bytes:     dd 0		; its bytes on the disk, whole blocks
mem_bytes:      dd 0		; with what is zero behind them
entry:          dd 0
sum_a:          dd 0
sum_b:          dd 0
payload_block:  dd 0		; first block of the memory image
fat_block:      dd 0		; of the first FAT (FAT16)
root_block:     dd 0		; of the root directory, ROOT_BLOCKS long
data_block:     dd 0		; of cluster 2
cluster_blocks: dd 0		; at most CHUNK

ROOT_BLOCKS equ 8		; 512 entries

from_cd:
	mov bl, 0
	jmp short begin
from_disk:
	mov bl, 2
begin:
	cli
	xor ax, ax
	mov ss, ax
	mov sp, 0x7c00
	mov ds, ax
	mov es, ax
	cld
	jmp 0:.here
.here:
	sti
	mov [shift], bl
	mov [drive], dl
	call serial_init
	call open_a20
	call find_memory
	call check_memory
	call find_rsdp
	call read_cmdline
	call load_image
	jmp enter

; --- memory

; open_a20 makes odd megabytes addressable, where that is not so yet.
open_a20:
	call test_a20
	jnz .done
	mov ax, 0x2401
	int 0x15
	call test_a20
	jnz .done
	in al, 0x92		; the chipset's own port
	or al, 2
	and al, 0xfe
	out 0x92, al
	call test_a20
	mov si, no_a20
	jz fail
.done:
	ret

; test_a20 clears ZF if 1 MiB is not the same as 0.
test_a20:
	push ds
	push es
	xor ax, ax
	mov ds, ax
	dec ax
	mov es, ax
	mov cx, 32
.again:
	inc word [0x500]
	mov ax, [0x500]
	cmp ax, [es:0x510]
	loope .again
	pop es
	pop ds
	ret

; find_memory asks for the memory map, INT 15h E820h.
find_memory:
	xor ebx, ebx
	mov di, MEMMAP
	mov si, no_memory
.next:
	mov dword [di + 20], 1
	mov eax, 0xe820
	mov edx, 'PAMS'
	mov ecx, 24
	push si
	push di
	int 0x15
	pop di
	pop si
	jc .last
	cmp eax, 'PAMS'
	jne .last
	test byte [di + 20], 1	; ACPI 3.0: not in use
	jz .skip
	mov eax, [di + 8]
	or eax, [di + 12]
	jz .skip
	mov dword [di + 20], 0
	inc dword [info.ranges]
	add di, 24
.skip:
	test ebx, ebx
	jz .last
	mov si, many_ranges
	cmp dword [info.ranges], MAX_RANGES
	je fail
	mov si, no_memory
	jmp .next
.last:
	cmp dword [info.ranges], 0
	je fail
	ret

; check_memory looks for one range of memory with the whole program in it.
check_memory:
	mov edx, [load]
	add edx, [mem_bytes]
	mov cx, [info.ranges]
	mov di, MEMMAP - 24
.next:
	add di, 24
	dec cx
	js .none
	cmp dword [di + 16], 1
	jne .next
	cmp dword [di + 4], 0
	jne .next
	mov eax, [di]
	cmp eax, [load]
	ja .next
	mov ebx, [di + 12]
	add eax, [di + 8]
	adc ebx, 0
	jnz .enough		; ends above 4 GiB
	cmp eax, edx
	jb .next
.enough:
	ret
.none:
	lea eax, [edx + 0xfffff]
	shr eax, 20
	mov di, little_memory
	mov si, mib
	jmp fail_number

; find_rsdp looks for ACPI's root pointer where a BIOS puts it (ACPI 6.4,
; section 5.2.5.1). A machine without one boots all the same.
find_rsdp:
	mov ax, [0x40e]		; the extended BIOS data area
	mov cx, 1024 / 16
	call .scan
	mov ax, 0xe000
	mov cx, 0x20000 / 16
.scan:
	cmp dword [info.rsdp], 0
	jne .done
	mov es, ax
	cmp dword [es:0], 'RSD '
	jne .no
	cmp dword [es:4], 'PTR '
	jne .no
	call .sum
	jnz .no
	movzx eax, ax
	shl eax, 4
	mov [info.rsdp], eax
	jmp .done
.no:
	inc ax
	loop .scan
.done:
	xor bx, bx
	mov es, bx
	ret
.sum:
	xor bx, bx
	mov dl, 0
.byte:
	add dl, [es:bx]
	inc bx
	cmp bx, 20
	jne .byte
	test dl, dl
	ret

; --- the disk

; read loads BX blocks from block EAX on to BUFFER. It keeps no register.
read:
	mov [at_block], eax
	mov cl, [shift]
	xor edx, edx
	shld edx, eax, cl
	shl eax, cl
	mov [packet.lba], eax
	mov [packet.lba + 4], edx
	shl bx, cl
	mov byte [tries], 3
.try:
	mov [packet.count], bx
	pushad
	mov si, packet
	mov dl, [drive]
	mov ah, 0x42
	int 0x13
	popad
	jnc .done
	pushad
	xor ah, ah
	mov dl, [drive]
	int 0x13
	popad
	dec byte [tries]
	jnz .try
	mov eax, [at_block]
	mov di, read_error
	mov si, of_blocks
	jmp fail_number
.done:
	ret

; read_cmdline reads the file TAILOR.TXT of the root directory, if there is
; one: what whoever runs the image may edit.
read_cmdline:
	mov eax, [root_block]
	mov bx, ROOT_BLOCKS
	call read
	mov ax, BUFSEG
	mov es, ax
	xor bx, bx
.entry:
	cmp byte [es:bx], 0
	je .done		; no entries from here on
	mov di, bx
	mov si, file_name
	mov cx, 11
	repe cmpsb
	je .found
	add bx, 32
	cmp bx, ROOT_BLOCKS * BLOCK
	jb .entry
	jmp .done
.found:
	movzx ebx, word [es:di + 15]	; first cluster, offset 26
	mov ecx, [es:di + 17]		; bytes, offset 28
	mov si, long_cmdline
	cmp ecx, MAX_CMDLINE
	ja fail
	call read_chain
	call clean_cmdline
.done:
	xor ax, ax
	mov es, ax
	ret

; read_chain reads ECX bytes of the clusters from EBX on to CMDLINE.
read_chain:
	mov dword [room], CMDLINE
.cluster:
	test ecx, ecx
	jz .done
	mov si, bad_cmdline
	cmp bx, 2
	jb fail
	cmp bx, 0xfff0
	jae fail
	push ebx
	push ecx
	lea eax, [ebx - 2]
	mul dword [cluster_blocks]
	add eax, [data_block]
	mov bx, [cluster_blocks]
	call read
	pop ecx
	mov edx, [cluster_blocks]
	shl edx, 11
	cmp edx, ecx
	jb .take
	mov edx, ecx
.take:
	sub ecx, edx
	push ecx
	call copy_low
	pop ecx
	pop ebx
	jecxz .done
	push ecx
	push ebx
	mov eax, ebx		; 1024 entries a block
	shr eax, 10
	add eax, [fat_block]
	mov bx, 1
	call read
	pop ebx
	pop ecx
	and bx, 1023
	shl bx, 1
	mov ax, BUFSEG
	mov es, ax
	movzx ebx, word [es:bx]
	jmp .cluster
.done:
	ret

; copy_low appends EDX bytes of BUFFER to the command line.
copy_low:
	mov di, [room]
	add [room], edx
	mov cx, dx
	xor ax, ax
	mov es, ax
	push ds
	mov ax, BUFSEG
	mov ds, ax
	xor si, si
	rep movsb
	pop ds
	ret

; clean_cmdline makes spaces of line ends, cuts trailing ones, and adds a zero.
clean_cmdline:
	mov si, CMDLINE
	mov di, si		; behind the last character
	mov cx, [room]
	sub cx, si
.next:
	jcxz .end
	dec cx
	lodsb
	test al, al
	jz .end
	cmp al, 26		; the end of a DOS text
	je .end
	cmp al, ' '
	jae .keep
	mov byte [si - 1], ' '
	jmp .next
.keep:
	je .next
	mov di, si
	jmp .next
.end:
	mov byte [di], 0
	ret

; load_image reads the memory image to its place and checks it.
load_image:
	mov eax, [payload_block]
	mov edi, [load]
	mov ecx, [file_bytes]
	shr ecx, 11
.next:
	jecxz .check
	mov ebx, CHUNK
	cmp ebx, ecx
	jbe .read
	mov ebx, ecx
.read:
	pushad
	call read
	popad
	pushad
	mov ecx, ebx
	shl ecx, 9		; in words of 4 bytes
	call copy_high
	popad
	add eax, ebx
	sub ecx, ebx
	shl ebx, 11
	add edi, ebx
	jmp .next
.check:
	mov si, damaged
	mov eax, [sum_a]
	cmp eax, [have_a]
	jne fail
	mov eax, [sum_b]
	cmp eax, [have_b]
	jne fail
	ret

; copy_high copies ECX words of 4 bytes from BUFFER to EDI and adds them up.
; Protected mode is left again before anybody reloads CS.
copy_high:
	mov ebx, [have_a]
	mov ebp, [have_b]
	mov esi, BUFFER
	cli
	lgdt [gdtr]
	mov eax, cr0
	or al, 1
	mov cr0, eax
	jmp short .flat
.flat:
	mov ax, DATA_SELECTOR
	mov ds, ax
	mov es, ax
.word:
	a32 lodsd
	a32 stosd
	add ebx, eax
	add ebp, ebx
	dec ecx
	jnz .word
	mov eax, cr0
	and al, 0xfe
	mov cr0, eax
	jmp short .real
.real:
	xor ax, ax
	mov ds, ax
	mov es, ax
	sti
	mov [have_a], ebx
	mov [have_b], ebp
	ret

; --- the way in

enter:
	cli
	mov al, 0xff		; nothing of the BIOS's interrupts any more
	out 0x21, al
	out 0xa1, al
	mov si, info
	mov di, INFO
	mov cx, INFO_BYTES / 2
	rep movsw
	lgdt [gdtr]
	mov eax, cr0
	or al, 1
	mov cr0, eax
	jmp dword CODE_SELECTOR:flat

	bits 32
flat:
	mov eax, DATA_SELECTOR
	mov ds, eax
	mov es, eax
	mov ss, eax
	mov fs, eax
	mov gs, eax
	mov eax, TASK_SELECTOR
	ltr ax
	mov edi, [load]
	mov ecx, [mem_bytes]
	add edi, [file_bytes]
	sub ecx, [file_bytes]
	shr ecx, 2
	xor eax, eax
	rep stosd
	mov cr4, eax
	mov ebx, INFO
	mov eax, [entry]
	jmp eax

	bits 16

; --- messages

%include "fail16.inc"
%include "say16.inc"

error:         db 13, 10, "tailor: error: ", 0
newline:       db 13, 10
nothing:       db 0
no_a20:        db "cannot open address line A20", 0
no_memory:     db "the BIOS lists no memory (INT 15h E820h)", 0
many_ranges:   db "the BIOS lists more than 128 ranges of memory", 0
little_memory: db "too little memory: the program needs at least ", 0
mib:           db " MiB", 0
read_error:    db "the BIOS cannot read the disk at block ", 0
of_blocks:     db " (of 2048 bytes)", 0
long_cmdline:  db "TAILOR.TXT has more than 16384 bytes", 0
bad_cmdline:   db "TAILOR.TXT is damaged: its clusters end too early", 0
damaged:       db "the program on the disk is damaged: wrong checksum", 0
file_name:     db "TAILOR  TXT"

shift:  db 0			; sectors a block, binary logarithm
drive:  db 0
tries:  db 0
	align 8
at_block: dd 0
room:     dd 0			; where the command line goes on
have_a:   dd 0
have_b:   dd 0
packet:
	db 16, 0
.count:	dw 0
	dw 0, BUFSEG
.lba:	dq 0

	align 8
info:
	hvm_start_info CMDLINE, MEMMAP
gdt:
	flat_gdt
gdtr:
	dw gdtr - gdt - 1
	dd gdt

	times 28 * 512 - ($ - $$) db 0
