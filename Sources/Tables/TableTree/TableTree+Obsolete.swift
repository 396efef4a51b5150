import Synchronization

extension TableTree {
    /// Whether `takeObsolete` has tables to give, now or once their readers are done.
    public var hasObsolete: Bool { state.withLock { !$0.obsolete.isEmpty } }
}
