import BlobStorage
import Glibc
import KeyManagement
import Log
package import Syscalls

/// What was copied.
package struct VolumeCopy: Sendable {
    /// The state that the copy has, as `Volume.durableState` has it.
    package var state: String
    package var blobs: Int
    package var bytes: UInt64
}

extension Volume {
    /// Copies the volume as it is now into `directory`, which must be empty, while it is used: the copy has everything that was changed before
    /// the call, and is a volume under the same password. Its header comes last, so that a copy that was cut is no volume.
    /// - Parameter isCancelled: asked between pieces.
    package func copy(to directory: String, isCancelled: () -> Bool) throws(Failure) -> VolumeCopy {
        let target = try Self.openStorage(directory, readOnly: false)
        guard try target.names().isEmpty else { throw Failure(.notEmpty, "is not empty", object: directory) }
        log.holdDeletions()
        defer { log.releaseDeletions() }
        let plan = try log.planCopy()
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
        defer { buffer.deallocate() }
        var copy = VolumeCopy(state: Self.text(plan.mark), blobs: 0, bytes: 0)
        var copied: [BlobID] = []
        for id in plan.blobs {
            let source: any ReadableBlob
            do { source = try storage.openBlob(id) } catch  where error.kind == .missing {
                // Never named by anything: the output of work that was given up.
                continue
            }
            let limit = plan.end.flatMap { $0.blob == id ? $0.offset : nil }
            copy.bytes += try Self.copy(source, to: try target.createBlob(id), limitBytes: limit, buffer, isCancelled)
            copied.append(id)
        }
        copy.blobs = copied.count
        try target.syncNames(of: copied)
        try target.replaceSmallFile(plan.headName, with: plan.head)
        guard let header = try storage.readSmallFile(VolumeHeader.fileName, limitBytes: VolumeHeader.largestSizeBytes) else {
            throw Failure(.missing, "is not there", object: "\(path)/\(VolumeHeader.fileName)")
        }
        try target.replaceSmallFile(VolumeHeader.fileName, with: header)
        return copy
    }

    private static func copy(
        _ source: any ReadableBlob, to target: any WritableBlob, limitBytes: UInt64?, _ buffer: UnsafeMutableRawBufferPointer,
        _ isCancelled: () -> Bool
    ) throws(Failure) -> UInt64 {
        var offset: UInt64 = 0
        while offset < limitBytes ?? .max {
            if isCancelled() { throw Failure(.interrupted, "the copying was told to end") }
            let wanted = Int(min(UInt64(buffer.count), (limitBytes ?? .max) - offset))
            let count = try source.read(at: offset, into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<wanted]))
            if count == 0 { break }
            try target.write(UnsafeRawBufferPointer(rebasing: buffer[..<count]), at: offset)
            offset += UInt64(count)
        }
        try target.sync()
        return offset
    }
}
