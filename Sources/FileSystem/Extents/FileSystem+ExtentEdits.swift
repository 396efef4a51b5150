import ChunkStore
import MetadataStore
import Records
import SystemPackage

/// Changes of a file's extents, under its stripe's lock, into its stripe's batch.
extension FileSystem {
    /// Makes `from..<to` hold `new` (whose start and end these are), or nothing: cuts, splits and removes what is there.
    /// A batch has a bound: where there are more extents than that, only the front of the range is done.
    /// - Returns: how far it is done. The caller applies the batch and comes again for the rest.
    func editExtents(_ id: UInt64, _ inode: inout Inode, from: UInt64, to: UInt64, new: Extent?, _ stripe: Stripe) throws(Errno) -> UInt64 {
        let isWhole = try collectExtents(id, inode, from: from, to: to, stripe)
        let extents = stripe.extents
        let batch = stripe.batch
        let reached = isWhole ? to : min(to, extents.last?.end ?? to)
        var live = LiveBytes()
        for extent in extents {
            let overlap = min(extent.end, reached) - max(extent.start, from)
            inode.allocatedBytes -= min(overlap, inode.allocatedBytes)
            if let chunk = extent.chunk { live.add(chunk.segment, -Int64(overlap), batch) }
            // Kept under this key: what is behind the range, or the new one.
            if extent.end <= reached, !(extent.end == reached && new != nil) { batch.delete(Keys.extent(id, end: extent.end)) }
        }
        if let first = extents.first, first.start < from { put(id, first.part(from: first.start, to: from), batch) }
        if let last = extents.last, last.end > reached { put(id, last.part(from: reached, to: last.end), batch) }
        live.flush(batch)
        if let new {
            let part = new.part(from: from, to: reached)
            put(id, part, batch)
            inode.allocatedBytes += part.length
            // Never added up with what goes: the store may count on seeing each chunk's bytes come.
            if let chunk = part.chunk { batch.liveBytes(segment: chunk.segment, delta: part.liveBytes) }
        }
        return reached
    }

    /// Removes what is in `from..<to`, or the front of it. Returns whether that was all.
    func removeExtents(_ id: UInt64, _ inode: inout Inode, from: UInt64, to: UInt64, _ stripe: Stripe) throws(Errno) -> Bool {
        try editExtents(id, &inode, from: from, to: to, new: nil, stripe) == to
    }

    func put(_ id: UInt64, _ extent: Extent, _ batch: RecordBatch) {
        batch.put(Keys.extent(id, end: extent.end)) { extent.encode(into: &$0) }
    }

    /// Fills the stripe's `extents` with those that overlap `from..<to`, in order.
    /// - Returns: false if there are more than a batch may deal with.
    func collectExtents(_ id: UInt64, _ inode: Inode, from: UInt64, to: UInt64, _ stripe: Stripe) throws(Errno) -> Bool {
        stripe.extents.removeAll(keepingCapacity: true)
        if inode.allocatedBytes == 0 || from >= to { return true }
        // Nothing is past the size: what appends need not look.
        if from >= inode.size, !inode.flags.contains(.extentsPastSize) { return true }
        return try collectExtents(id, from: from, to: to, limit: options.batchRecordLimit, into: &stripe.extents)
    }

    /// Appends the extents that overlap `from..<to`, in order. Returns false if there are more than `limit`. Under the stripe's lock.
    func collectExtents(_ id: UInt64, from: UInt64, to: UInt64, limit: Int, into extents: inout [Extent]) throws(Errno) -> Bool {
        guard let isWhole = try lookForExtents(id, from: from, to: to, limit: limit, into: &extents) else { throw damagedExtent(id) }
        return isWhole
    }

    func damagedExtent(_ id: UInt64) -> Errno { damaged("an extent record cannot be read", id) }

    /// The same without the lock. Nil if what it found cannot be: the store shows one record before a batch and the next one after it, or there
    /// is damage, which only a look under the lock tells apart.
    func lookForExtents(_ id: UInt64, from: UInt64, to: UInt64, limit: Int, into extents: inout [Extent]) throws(Errno) -> Bool? {
        var isWhole = true
        var isDamaged = false
        var previousEnd: UInt64 = 0
        try scan(from: Keys.extent(id, end: from + 1), to: Keys.after(.extent, id)) { record in
            guard let extent = Extent.decode(end: record.key.second, record.value), extent.start >= previousEnd else {
                isDamaged = true
                return .stop
            }
            if extent.start >= to { return .stop }
            if extents.count >= limit {
                isWhole = false
                return .stop
            }
            previousEnd = extent.end
            extents.append(extent)
            return .next
        }
        return isDamaged ? nil : isWhole
    }
}

/// Adds up changes of live bytes, so that neighbours in one segment are one operation of the batch.
struct LiveBytes {
    private var segment: UInt64 = 0
    private var delta: Int64 = 0

    mutating func add(_ newSegment: UInt64, _ newDelta: Int64, _ batch: RecordBatch) {
        if newSegment != segment { flush(batch) }
        segment = newSegment
        delta += newDelta
    }

    mutating func flush(_ batch: RecordBatch) {
        if delta != 0 { batch.liveBytes(segment: segment, delta: delta) }
        delta = 0
    }
}

// MARK: Truncation
extension FileSystem {
    func requireRegular(_ inode: Inode) throws(Errno) {
        if inode.isDirectory { throw .isDirectory }
        if !inode.isRegular { throw .invalidArgument }
    }

    /// Sets the size and adds to the batch that what is past it goes. A growing file has no stale tail (`removeStaleTail`).
    /// - Returns: false if there is more than one batch may hold: then the size is set and the tail marked stale, and
    ///   `finishTruncation` does the rest.
    func truncate(_ id: UInt64, _ inode: inout Inode, to size: UInt64, _ stripe: Stripe) throws(Errno) -> Bool {
        let oldSize = inode.size
        inode.size = size
        if inode.flags.contains(.inline) {
            if size < inode.allocatedBytes { try truncateInline(id, &inode, to: size, stripe) }
            return true
        }
        if size > oldSize || (size == oldSize && !inode.flags.contains(.extentsPastSize)) { return true }
        var past = inode
        past.size = oldSize
        let isWhole = try removeExtents(id, &past, from: size, to: FileLimits.maximumSizeBytes, stripe)
        inode.allocatedBytes = past.allocatedBytes
        if isWhole {
            inode.flags.subtract([.staleTail, .extentsPastSize])
        } else {
            inode.flags.formUnion([.staleTail, .extentsPastSize])
        }
        return isWhole
    }

    private func truncateInline(_ id: UInt64, _ inode: inout Inode, to size: UInt64, _ stripe: Stripe) throws(Errno) {
        if size == 0 {
            stripe.batch.delete(Keys.inline(id))
            inode.flags.remove(.inline)
        } else {
            try loadInline(id, inode, stripe)
            let kept = UnsafeRawBufferPointer(rebasing: stripe.bytes.readable[..<Int(size)])
            stripe.batch.delete(Keys.inline(id))  // it needs no room
            stripe.batch.put(Keys.inline(id), kept)
        }
        inode.allocatedBytes = size
    }

    /// Removes what a truncation left past the size, batch by batch, letting others in between.
    func finishTruncation(_ id: UInt64) throws(Errno) {
        let stripe = stripe(id)
        var isWhole = false
        while !isWhole {
            stripe.lock()
            defer { stripe.unlock() }
            guard var inode = try inodeIfPresent(id, stripe), inode.flags.contains(.staleTail) else { return }
            isWhole = try removeSomeOfStaleTail(id, &inode, stripe)
        }
    }

    /// The same without letting others in: before the size grows.
    func removeStaleTail(_ id: UInt64, _ inode: inout Inode, _ stripe: Stripe) throws(Errno) {
        while inode.flags.contains(.staleTail) { _ = try removeSomeOfStaleTail(id, &inode, stripe) }
    }

    private func removeSomeOfStaleTail(_ id: UInt64, _ inode: inout Inode, _ stripe: Stripe) throws(Errno) -> Bool {
        stripe.batch.reset()
        let isWhole = try removeExtents(id, &inode, from: inode.size, to: FileLimits.maximumSizeBytes, stripe)
        if isWhole { inode.flags.subtract([.staleTail, .extentsPastSize]) }
        try commit(id, inode, stripe)
        return isWhole
    }
}
