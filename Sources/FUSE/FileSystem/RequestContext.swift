/// Who asks.
public struct RequestContext: Sendable {
    public var uid: UInt32
    public var gid: UInt32
    public var pid: UInt32
    /// Unique among the requests that run.
    public var unique: UInt64
    /// Of the asking process, where the request makes a file; else 0. Already applied to the mode, unless
    /// `InitFlags.dontMask` or `posixACL` was agreed on.
    public var umask: UInt32 = 0

    // The worker outlives the call that gets this context, so no reference is counted per request.
    private unowned(unsafe) let running: RunningRequest?

    package init(uid: UInt32, gid: UInt32, pid: UInt32, unique: UInt64, running: RunningRequest? = nil) {
        self.uid = uid
        self.gid = gid
        self.pid = pid
        self.unique = unique
        self.running = running
    }

    /// Whether the asking process got a signal. An operation may then end early with EINTR; it need not.
    public var isInterrupted: Bool { running?.isInterrupted(unique) ?? false }
}
