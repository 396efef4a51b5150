import FileSystem
import HTTPTypes
import Synchronization
import Syscalls
import SystemPackage

/// What is kept of the usage while nobody serves the file system. It holds as long as the volume is in the state that it names.
struct UsageRecord: Codable, Sendable {
    /// `Volume.durableState`.
    var state: String
    var total: UInt64
    /// By the group of the files.
    var groups: [String: UInt64]
}

/// What the files of a file system take, in all and by the users who wrote them, and what requests under way are about to add. Thread-safe.
///
/// Who wrote a file is its group: a number that no real group has, one for each user. The engine tells of each change of a file's size, group
/// or last name, whoever makes it, so the sums are exact at any time; nothing is kept but a sum for each user. Where they are not known from
/// the last time, all inodes are counted once in the background, in the order of their numbers: a change of one that was not counted yet
/// is left to the counting, and new ones have higher numbers than any that is to be counted.
final class UsageLedger: UsageObserver {
    /// Of the user with number 0.
    static let firstGroup: UInt32 = 0x7e00_0000

    /// What a request is about to write.
    fileprivate struct Claim {
        var group: UInt32
        var bytes: UInt64 = 0
        /// What goes with the file that is replaced: in all, and of the user's.
        var credit: UInt64
        var userCredit: UInt64
        /// Of an upload in parts, in the place of a credit: what it has counts as it comes, so until it replaces something that allows this one,
        /// and no other, so much more.
        var allowance: UInt64 = 0
        var userAllowance: UInt64 = 0
        var inode: InodeID?

        var net: UInt64 { bytes > credit ? bytes - credit : 0 }
        var userNet: UInt64 { bytes > userCredit ? bytes - userCredit : 0 }
    }

    fileprivate struct State {
        var total: Int64 = 0
        var groups: [UInt32: Int64] = [:]
        var claims: [UInt64: Claim] = [:]
        var claimOfInode: [InodeID: UInt64] = [:]
        var claimed: UInt64 = 0
        var claimedByGroup: [UInt32: UInt64] = [:]
        var lastClaim: UInt64 = 0
        /// Inodes up to this one are in the sums, and those from `end` on.
        var cursor = InodeID(0)
        var end = InodeID(.max)
        var isExact = true
    }

    fileprivate let state = Mutex(State())

    /// Begins with what was known when the volume was left, or with counting; before anything of the volume changes.
    func begin(_ stored: UsageRecord?, _ volume: Volume) {
        state.withLock { state in
            state = State()
            state.end = volume.fileSystem.firstNewInode
            guard let stored, stored.state == volume.openedState, let total = Int64(exactly: stored.total) else { return }
            var groups: [UInt32: Int64] = [:]
            for (group, bytes) in stored.groups {
                guard let group = UInt32(group), let bytes = Int64(exactly: bytes) else { return }
                groups[group] = bytes
            }
            state.total = total
            state.groups = groups
            state.cursor = InodeID(.max)
        }
    }

    /// To be kept with the volume's last state; nil if the sums are not known.
    func record(state text: String) -> UsageRecord? {
        state.withLock { state in
            guard state.isExact, state.cursor == InodeID(.max) else { return nil }
            return UsageRecord(
                state: text, total: UInt64(max(0, state.total)),
                groups: Dictionary(uniqueKeysWithValues: state.groups.filter { $0.value > 0 }.map { (String($0.key), UInt64($0.value)) }))
        }
    }

    struct Sums: Sendable {
        var total: UInt64
        var groups: [UInt32: UInt64]
        /// Files are still being counted: the sums are at least these.
        var isCounting: Bool
    }

    var sums: Sums {
        state.withLock { state in
            Sums(
                total: UInt64(max(0, state.total)), groups: state.groups.filter { $0.value > 0 }.mapValues { UInt64($0) },
                isCounting: state.cursor != InodeID(.max))
        }
    }

    // MARK: What the engine tells

    func usageChanged(_ inode: InodeID, from: FileShare?, to: FileShare?) {
        state.withLock { state in
            if inode <= state.cursor || inode >= state.end {
                if let from { state.add(-Int64(clamping: from.bytes), from.group) }
                if let to { state.add(Int64(clamping: to.bytes), to.group) }
            }
            let (before, after) = (from?.bytes ?? 0, to?.bytes ?? 0)
            if after > before, let claim = state.claimOfInode[inode] { state.consume(claim, after - before) }
        }
    }

    func usageIsUnknown(_ inode: InodeID) { state.withLock { $0.isExact = false } }

    // MARK: Counting

    var isCounting: Bool { state.withLock { $0.cursor != InodeID(.max) } }

    /// Counts some more; says whether that was all.
    func countStep(_ files: FileSystem, limit: Int = 1000) throws(Failure) -> Bool {
        let (cursor, end) = state.withLock { ($0.cursor, $0.end) }
        let last: InodeID?
        do throws(Errno) {
            last = try files.countUsage(after: cursor, below: end, limit: limit) { inode, share in
                state.withLock { state in
                    state.add(Int64(clamping: share.bytes), share.group)
                    state.cursor = inode
                }
            }
        } catch { throw Failure(systemCall: "counting the files", object: "the file system", error) }
        if last == nil { state.withLock { $0.cursor = InodeID(.max) } }
        return last == nil
    }
}

extension UsageLedger.State {
    fileprivate mutating func add(_ bytes: Int64, _ group: UInt32) {
        total += bytes
        // Of others nothing is asked, and anybody can make up groups through a mount.
        if group >= UsageLedger.firstGroup { groups[group, default: 0] += bytes }
    }

    fileprivate mutating func change(_ id: UInt64, _ edit: (inout UsageLedger.Claim) -> Void) {
        guard var claim = claims[id] else { return }
        claimed -= claim.net
        claimedByGroup[claim.group, default: 0] -= claim.userNet
        edit(&claim)
        claimed += claim.net
        claimedByGroup[claim.group, default: 0] += claim.userNet
        claims[id] = claim
    }

    /// Some of what was claimed is in the sums now.
    fileprivate mutating func consume(_ id: UInt64, _ bytes: UInt64) { change(id) { $0.bytes -= min($0.bytes, bytes) } }

    fileprivate mutating func remove(_ id: UInt64) {
        change(id) { $0.bytes = 0 }
        guard let claim = claims.removeValue(forKey: id) else { return }
        if claimedByGroup[claim.group] == 0 { claimedByGroup.removeValue(forKey: claim.group) }
        if let inode = claim.inode, claimOfInode[inode] == id { claimOfInode.removeValue(forKey: inode) }
    }
}

/// What a request is about to write, held against the quotas until it is written or given up. Thread-safe.
final class QuotaClaim: Sendable {
    struct Limits: Sendable {
        var fileSystemBytes: UInt64?
        var userBytes: UInt64?
    }

    private let ledger: UsageLedger
    private let id: UInt64
    private let group: UInt32
    private let limits: Limits

    /// - Parameters:
    ///   - existing: what is replaced, as far as can be told now.
    ///   - inParts: what is written has a name and counts at once, long before it replaces anything.
    init(_ ledger: UsageLedger, group: UInt32, limits: Limits, replacing existing: Attributes?, inParts: Bool) {
        self.ledger = ledger
        self.group = group
        self.limits = limits
        let credit = Self.credit(existing, group)
        id = ledger.state.withLock { state in
            state.lastClaim += 1
            state.claims[state.lastClaim] =
                inParts
                ? UsageLedger.Claim(group: group, credit: 0, userCredit: 0, allowance: credit.all, userAllowance: credit.user)
                : UsageLedger.Claim(group: group, credit: credit.all, userCredit: credit.user)
            return state.lastClaim
        }
    }

    deinit { ledger.state.withLock { $0.remove(id) } }

    private static func credit(_ existing: Attributes?, _ group: UInt32) -> (all: UInt64, user: UInt64) {
        // One of several names takes nothing with it.
        guard let existing, existing.linkCount == 1 else { return (0, 0) }
        let share = existing.share
        return (share.bytes, share.group == group ? share.bytes : 0)
    }

    private static let refusal = Problem(.insufficientStorage, "quota-exceeded", "the file system's quota is used up")
    private static let userRefusal = Problem(.insufficientStorage, "quota-exceeded", "the user's quota is used up")

    /// Claims so many bytes more. Fails with `quota-exceeded`, and claims nothing then.
    func grow(by bytes: UInt64) throws(Problem) {
        let problem = ledger.state.withLock { state -> Problem? in
            guard let before = state.claims[id] else { return nil }
            state.change(id) { $0.bytes = $0.bytes.addingReportingOverflow(bytes).overflow ? .max : $0.bytes + bytes }
            guard let claim = state.claims[id] else { return nil }
            var problem: Problem?
            let total = state.total - Int64(clamping: claim.allowance)
            if claim.net > before.net, Self.exceeds(total, state.claimed, limits.fileSystemBytes) { problem = Self.refusal }
            let own = (state.groups[group] ?? 0) - Int64(clamping: claim.userAllowance)
            if claim.userNet > before.userNet, Self.exceeds(own, state.claimedByGroup[group] ?? 0, limits.userBytes) {
                problem = Self.userRefusal
            }
            if problem != nil { state.change(id) { $0.bytes = before.bytes } }
            return problem
        }
        if let problem { throw problem }
    }

    /// Claims what is counted already and goes out of the sums for a moment.
    func hold(_ bytes: UInt64) { ledger.state.withLock { state in state.change(id) { $0.bytes += bytes } } }

    /// What is added to the inode from now on is what was claimed.
    func attach(to inode: InodeID) {
        ledger.state.withLock { state in
            state.change(id) { $0.inode = inode }
            state.claimOfInode[inode] = id
        }
    }

    /// The last word: whether the file may take the place of what is really there now.
    func refuses(replacing existing: Attributes?) -> Problem? {
        let credit = Self.credit(existing, group)
        return ledger.state.withLock { state in
            state.change(id) {
                $0.credit = credit.all
                $0.userCredit = credit.user
            }
            guard let claim = state.claims[id] else { return nil }
            if claim.net > 0, Self.exceeds(state.total, state.claimed, limits.fileSystemBytes) { return Self.refusal }
            let user = (state.groups[group] ?? 0, state.claimedByGroup[group] ?? 0)
            if claim.userNet > 0, Self.exceeds(user.0, user.1, limits.userBytes) { return Self.userRefusal }
            return nil
        }
    }

    private static func exceeds(_ used: Int64, _ claimed: UInt64, _ limit: UInt64?) -> Bool {
        guard let limit else { return false }
        let used = UInt64(max(0, used))
        return used > limit || claimed > limit - used
    }
}

extension ServedFileSystem {
    /// For what the user is about to write; nil if no quota stands against it.
    func claim(for user: User, replacing existing: Attributes?, inParts: Bool = false) -> QuotaClaim? {
        let limits = QuotaClaim.Limits(fileSystemBytes: quotaBytes, userBytes: user.record.quotaBytes)
        guard limits.fileSystemBytes != nil || limits.userBytes != nil else { return nil }
        return QuotaClaim(usage, group: user.group, limits: limits, replacing: existing, inParts: inParts)
    }

    /// As above, where what is replaced has that path now.
    func claim(for user: User, replacing path: RequestPath, inParts: Bool) throws(Problem) -> QuotaClaim? {
        guard quotaBytes != nil || user.record.quotaBytes != nil else { return nil }
        return claim(for: user, replacing: try existing(path), inParts: inParts)
    }

    /// What is at the path; nil if nothing is.
    func existing(_ path: RequestPath) throws(Problem) -> Attributes? {
        do throws(Problem) { return try find(path) } catch {
            if error.status == .notFound { return nil }
            throw error
        }
    }
}
