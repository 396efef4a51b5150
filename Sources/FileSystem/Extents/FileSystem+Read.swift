import ChunkStore
import Glibc
import MetadataStore
import Records
import Synchronization
import Syscalls
public import SystemPackage

extension FileSystem {
    /// How often an operation that was overtaken by others starts anew before it gives up (or takes the lock).
    private static let attemptLimit = 16
    private static let unlockedAttemptLimit = 3
    /// Extents that are read with one look at the store.
    private static let extentsPerPlan = 256

    /// What a read that could not be done as planned does next.
    private enum Step { case done, lookAgain }

    /// Fills `output` from `offset`; fewer bytes only at the end of the file.
    public func read(_ inode: InodeID, at offset: UInt64, into output: UnsafeMutableRawBufferPointer) throws(Errno) -> Int {
        let scratch = scratches.take()
        defer { scratches.give(scratch) }
        var done = 0
        var attempt = 0
        while true {
            let rest = UnsafeMutableRawBufferPointer(rebasing: output[done...])
            guard
                let plan = try planRead(
                    inode.rawValue, at: offset &+ UInt64(done), rest, scratch, mayLock: attempt >= Self.unlockedAttemptLimit)
            else {
                attempt += 1
                continue
            }
            if plan.count == 0 { return done }
            switch try fill(rest, plan, scratch.extents) {
            case .lookAgain:
                attempt += 1
                if attempt >= Self.attemptLimit { throw damaged("data that was moved cannot be found", inode.rawValue) }
            case .done:
                done += plan.count
                if plan.isLast {
                    noteAccess(inode.rawValue, plan.inode)
                    return done
                }
                attempt = 0
            }
        }
    }

    private struct Plan {
        var inode: Inode
        var offset: UInt64
        /// Bytes to fill from `offset`; 0 at the end of the file.
        var count: Int
        /// Nothing is to be read after these.
        var isLast: Bool
        /// The bytes are in the output already.
        var isInline = false
    }

    /// Finds what the bytes are made of: into `scratch.extents`, or for inline content into `output` itself. Without the lock;
    /// nil if the file changed meanwhile.
    private func planRead(
        _ id: UInt64, at offset: UInt64, _ output: UnsafeMutableRawBufferPointer, _ scratch: Scratch, mayLock: Bool
    ) throws(Errno) -> Plan? {
        scratch.extents.removeAll(keepingCapacity: true)
        let stripe = stripe(id)
        let (inode, epoch) = try withInode(id) { (stripe, found) throws(Errno) in (found, stripe.epoch.load(ordering: .relaxed)) }
        try requireRegular(inode)
        guard offset < inode.size, output.count > 0 else {
            return Plan(inode: inode, offset: offset, count: 0, isLast: true)
        }
        var plan = Plan(inode: inode, offset: offset, count: Int(min(UInt64(output.count), inode.size - offset)), isLast: true)
        if mayLock { stripe.lock() }
        defer { if mayLock { stripe.unlock() } }
        if inode.flags.contains(.inline) {
            plan.isInline = true
            guard try readInline(id, inode, at: offset, UnsafeMutableRawBufferPointer(rebasing: output[..<plan.count])) else { return nil }
        } else if inode.allocatedBytes > 0 {
            let end = offset + UInt64(plan.count)
            guard let isWhole = try lookForExtents(id, from: offset, to: end, limit: Self.extentsPerPlan, into: &scratch.extents) else {
                if mayLock { throw damagedExtent(id) }
                return nil
            }
            if !isWhole, let last = scratch.extents.last {
                plan.count = Int(last.end - offset)
                plan.isLast = false
            }
        }
        return stripe.epoch.load(ordering: .acquiring) == epoch ? plan : nil
    }

    /// False if the record is not there: it went while nobody held the lock.
    private func readInline(_ id: UInt64, _ inode: Inode, at offset: UInt64, _ output: UnsafeMutableRawBufferPointer) throws(Errno) -> Bool
    {
        try get(Keys.inline(id)) { content in
            let from = min(Int(offset), content.count)
            let present = UnsafeRawBufferPointer(rebasing: content[from..<min(from + output.count, content.count)])
            output.copyMemory(from: present)
            Self.zero(UnsafeMutableRawBufferPointer(rebasing: output[present.count...]))
        }
    }

    private func fill(_ output: UnsafeMutableRawBufferPointer, _ plan: Plan, _ extents: [Extent]) throws(Errno) -> Step {
        if plan.isInline { return .done }
        let end = plan.offset + UInt64(plan.count)
        var position = plan.offset
        for extent in extents {
            let from = max(extent.start, position)
            let to = min(extent.end, end)
            guard from < to else { continue }
            Self.zero(UnsafeMutableRawBufferPointer(rebasing: output[Int(position - plan.offset)..<Int(from - plan.offset)]))
            let target = UnsafeMutableRawBufferPointer(rebasing: output[Int(from - plan.offset)..<Int(to - plan.offset)])
            position = to
            guard let chunk = extent.chunk else {
                Self.zero(target)
                continue
            }
            if try !read(chunk, from: Int(extent.offsetInChunk) + Int(from - extent.start), into: target) { return .lookAgain }
        }
        Self.zero(UnsafeMutableRawBufferPointer(rebasing: output[Int(position - plan.offset)..<plan.count]))
        return .done
    }

    /// False if the chunk's segment is gone since its data was moved.
    func read(_ chunk: ChunkLocation, from offset: Int, into output: UnsafeMutableRawBufferPointer) throws(Errno) -> Bool {
        do throws(Failure) { try chunks.read(chunk, from: offset, into: output) } catch {
            if error.kind == .missing { return false }
            throw errno(of: error)
        }
        return true
    }

    private static func zero(_ bytes: UnsafeMutableRawBufferPointer) {
        if let base = bytes.baseAddress, bytes.count > 0 { memset(base, 0, bytes.count) }
    }
}

// MARK: Holes
extension FileSystem {
    /// The first byte of data, or of a hole (the end of the file is one), at or after `offset`.
    public func search(_ inode: InodeID, from offset: UInt64, for target: SeekTarget) throws(Errno) -> SeekResult {
        let id = inode.rawValue
        let found = try withInode(id) { (_, found) throws(Errno) in found }
        try requireRegular(found)
        let limit = FileLimits.maximumSizeBytes
        let nothing = SeekResult(offset: nil, emptyRange: min(offset, limit)..<limit)
        guard offset < found.size else { return nothing }
        // The data that the result is about: what begins at or after `offset`, or contains it.
        guard let data = try firstData(id, found, from: offset), data.lowerBound < found.size else {
            return target == .hole ? SeekResult(offset: offset, emptyRange: offset..<limit) : nothing
        }
        let start = max(data.lowerBound, offset)
        if target == .data { return SeekResult(offset: start, emptyRange: offset..<start) }
        if start > offset { return SeekResult(offset: offset, emptyRange: offset..<start) }
        var hole = data.upperBound
        while hole < found.size, let next = try firstData(id, found, from: hole) {
            if next.lowerBound > hole { return SeekResult(offset: hole, emptyRange: hole..<next.lowerBound) }
            hole = next.upperBound
        }
        hole = min(hole, found.size)
        return SeekResult(offset: hole, emptyRange: hole..<limit)
    }

    /// As lseek(2) answers: ENXIO if there is none.
    public func seek(_ inode: InodeID, from offset: UInt64, to target: SeekTarget) throws(Errno) -> UInt64 {
        guard let found = try search(inode, from: offset, for: target).offset else { throw .noSuchAddressOrDevice }
        return found
    }

    /// The first run of data that ends after `offset`, as far as one look at the store tells.
    private func firstData(_ id: UInt64, _ inode: Inode, from offset: UInt64) throws(Errno) -> Range<UInt64>? {
        if inode.flags.contains(.inline) { return offset < inode.allocatedBytes ? 0..<inode.allocatedBytes : nil }
        if inode.allocatedBytes == 0 { return nil }
        var run: Range<UInt64>?
        var isDamaged = false
        try scan(from: Keys.extent(id, end: offset + 1), to: Keys.after(.extent, id)) { record in
            guard let extent = Extent.decode(end: record.key.second, record.value) else {
                isDamaged = true
                return .stop
            }
            // Reserved room reads as zeros: a hole.
            guard extent.chunk != nil else { return run == nil ? .next : .stop }
            guard let open = run else {
                run = extent.start..<extent.end
                return .next
            }
            guard extent.start == open.upperBound else { return .stop }
            run = open.lowerBound..<extent.end
            return .next
        }
        if isDamaged { throw damagedExtent(id) }
        return run
    }
}
