import Glibc
import LinuxTesting
import SystemPackage

// A process that makes system calls for a test: `PosixHelper UID GID GROUP,… DIRECTORY` takes that identity in that directory, reads a
// command a line and answers each with one line: what the call gave, "ok", or the error's name. It ends with its input.

func say(_ line: String, to descriptor: CInt = 1) {
    let bytes = Array((line + "\n").utf8)
    var done = 0
    while done < bytes.count {
        let count = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress! + done, $0.count - done) }
        if count < 0 { exit(4) }
        done += count
    }
}

let arguments = CommandLine.arguments
guard arguments.count == 5, let uid = uid_t(arguments[1]), let gid = gid_t(arguments[2]) else {
    say("usage: PosixHelper UID GID GROUPS DIRECTORY", to: 2)
    exit(2)
}
let groups = arguments[3].split(separator: ",").compactMap { gid_t($0) }
umask(0)
guard chdir(arguments[4]) == 0, setgroups(groups.count, groups) == 0, setgid(gid) == 0, setuid(uid) == 0 else {
    perror("PosixHelper: taking an identity")
    exit(3)
}
var session = Session()
while let line = readLine() {
    do throws(Errno) { say(try session.run(line)) } catch { say(errorName(error)) }
}
