-- name: get
select * from objects where bucket = :bucket and key = :key;

-- name: put
insert into objects (bucket, key, size, modified_ns, inode, etag, sequencer, attributes, place, spooled)
values (:bucket, :key, :size, :modified_ns, :inode, :etag, :sequencer, :attributes, :place, :spooled)
on conflict (bucket, key) do update set size = excluded.size, modified_ns = excluded.modified_ns, inode = excluded.inode,
  etag = excluded.etag, sequencer = excluded.sequencer, attributes = excluded.attributes, place = excluded.place,
  spooled = excluded.spooled;

-- name: set_place
update objects set place = :place where bucket = :bucket and key = :key;

-- name: delete
delete from objects where bucket = :bucket and key = :key;

-- name: page
select * from objects
where bucket = :bucket and key >= :first and key > :after and (:last is null or key < :last)
order by key limit :limit;

-- name: all
select key, size, modified_ns, inode, place, spooled from objects where bucket = :bucket;

-- name: of_spooled
select * from objects where spooled = :spooled;

-- name: add_upload
insert into uploads (id, bucket, key, started_ms, boot, attributes)
values (:id, :bucket, :key, :started_ms, :boot, :attributes);

-- name: upload
select * from uploads where id = :id;

-- name: uploads
select * from uploads where bucket = :bucket order by key, started_ms, id;

-- name: delete_upload
delete from uploads where id = :id;

-- name: put_part
insert into parts (upload_id, number, size, etag, modified_ms, checksums, file)
values (:upload_id, :number, :size, :etag, :modified_ms, :checksums, :file)
on conflict (upload_id, number) do update set size = excluded.size, etag = excluded.etag,
  modified_ms = excluded.modified_ms, checksums = excluded.checksums, file = excluded.file;

-- name: parts
select * from parts where upload_id = :upload_id order by number;

-- name: part_file
select 1 from parts where file = :file;
