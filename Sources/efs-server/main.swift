import Sealing
import Server

ProcessHardening.apply()
MemoryReuse.apply()
await ServerCommand.runToExit()
