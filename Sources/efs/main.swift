import Glibc

// The program's one way out: whatever happens below, `CommandLineTool` has printed it and chosen the exit status.
exit(CommandLineTool.run(CommandLine.arguments))
