import Sealing

ProcessHardening.apply()
await ControlCommand.runToExit()
