import Sealing

ProcessHardening.apply()
await ServerCommand.runToExit()
