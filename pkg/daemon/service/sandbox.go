package service

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The daemons never start a program; whatever must do so is a helper unit of
// its own. forbidExec makes the kernel refuse it: after it returned, execve,
// execveat and ptrace fail with EPERM in every thread, for good. The units say
// the same with NoExecPaths=, but `make run`, containers and other init
// systems have no units.
func forbidExec() error {
	arch, denied := deniedCalls(runtime.GOARCH)
	if arch == 0 {
		return nil // an architecture without a table keeps the unit's sandbox
	}
	// The filter may be set by a thread that can gain no privileges; with TSYNC
	// the kernel gives both to all others, see seccomp(2).
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no_new_privs: %w", err)
	}
	prog := filterProgram(arch, denied)
	fprog := unix.SockFprog{Len: uint16(len(prog)), Filter: &prog[0]}
	r, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&fprog)))
	runtime.KeepAlive(prog)
	if errno != 0 {
		return fmt.Errorf("seccomp: %w", errno)
	}
	if r != 0 {
		return fmt.Errorf("seccomp: thread %d did not take the filter", r)
	}
	return nil
}

// deniedCalls gives the audit architecture and the call numbers for GOARCH
// (Linux asm/unistd.h): execve, execveat, ptrace.
func deniedCalls(goarch string) (arch uint32, calls []uint32) {
	switch goarch {
	case "amd64":
		return unix.AUDIT_ARCH_X86_64, []uint32{59, 322, 101}
	case "arm64":
		return unix.AUDIT_ARCH_AARCH64, []uint32{221, 281, 117}
	}
	return 0, nil
}

// filterProgram: a foreign architecture and the x32 numbers are refused whole,
// then each denied call, everything else passes. Offsets are those of struct
// seccomp_data: nr at 0, arch at 4.
func filterProgram(arch uint32, denied []uint32) []unix.SockFilter {
	const x32 = 0x40000000
	load := func(off uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: off}
	}
	jump := func(op uint16, k uint32, yes, no uint8) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | op | unix.BPF_K, K: k, Jt: yes, Jf: no}
	}
	n := uint8(len(denied))
	prog := []unix.SockFilter{load(4), jump(unix.BPF_JEQ, arch, 0, n+3), load(0), jump(unix.BPF_JGE, x32, n+1, 0)}
	for i, nr := range denied {
		prog = append(prog, jump(unix.BPF_JEQ, nr, n-uint8(i), 0))
	}
	return append(prog,
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)})
}
