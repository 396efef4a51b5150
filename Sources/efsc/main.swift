import ArgumentParser
import Glibc
import Sealing
import Syscalls

ProcessHardening.apply()
exit(ShellTool.run(Array(CommandLine.arguments.dropFirst())))
