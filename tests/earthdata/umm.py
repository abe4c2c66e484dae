"""UMM-G and UMM-C records of the collections, as CMR answers them (schemas 1.6.6 and 1.18.4)."""

from .catalogue import stamp

GRANULE_VERSION, COLLECTION_VERSION = "1.6.6", "1.18.4"


def rectangle(w, s, e, n):
    return {"WestBoundingCoordinate": w, "SouthBoundingCoordinate": s, "EastBoundingCoordinate": e, "NorthBoundingCoordinate": n}


def geometry(shape):
    if "rectangles" in shape:
        return {"BoundingRectangles": [rectangle(*r) for r in shape["rectangles"]]}
    rings = [[{"Longitude": round(lon, 5), "Latitude": lat} for lon, lat in ring] for ring in shape["polygons"]]
    return {"GPolygons": [{"Boundary": {"Points": points}} for points in rings]}


def archive_entry(collection, part, number):
    """The size and checksum of a file, with the oddities of the archives."""
    if part.kind != "data":
        size = len(collection.side(part, number))
        return {"Name": part.name, "SizeInBytes": size, "Size": size / 1e6, "SizeUnit": "MB"}
    size, md5 = collection.size_and_md5(number)
    if collection.provider == "NSIDC_CPRD":  # megabytes that say so nowhere
        return {"Name": part.name, "Size": size / (1 << 20), "SizeUnit": "NA", "Format": "HDF5"}
    return {"Name": part.name, "SizeInBytes": size, "Size": size / (1 << 20), "SizeUnit": "MB", "Format": "netCDF-4",
            "Checksum": {"Value": md5, "Algorithm": "MD5"}}


def related_urls(collection, number, url_of):
    """Pairs of https and s3 of every file, then the credentials' and the services' addresses."""
    for part in collection.parts(number):
        if part.kind == "data" and number in collection.unlinked:
            continue
        side = part.kind == "md5"
        mime = {"data": "application/x-hdf5" if collection.suffix == ".h5" else "application/x-netcdf", "tif": "image/tiff"}
        https = {"URL": f"{url_of(collection.gateway_of(number))}/{part.bucket}/{part.key}", "Description": f"Download {part.name}",
                 "Type": "EXTENDED METADATA" if side else "GET DATA"}
        if part.kind in mime:
            https["MimeType"] = mime[part.kind]
        yield https
        yield {"URL": f"s3://{part.bucket}/{part.key}", "Description": "This link provides direct download access via S3 to the granule",
               "Type": "EXTENDED METADATA" if side else "GET DATA VIA DIRECT ACCESS"}
    yield {"URL": f"{url_of(collection.gateway)}/s3credentials", "Type": "VIEW RELATED INFORMATION",
           "Description": "api endpoint to retrieve temporary credentials valid for same-region direct s3 access"}
    yield {"URL": f"https://opendap.earthdata.nasa.gov/collections/{collection.concept_id}/granules/{collection.name(number)}",
           "Type": "USE SERVICE API", "Subtype": "OPENDAP DATA", "Description": "OPeNDAP request URL"}


def granule(collection, number, url_of):
    revision, when = collection.revision(number)
    begin, end = collection.times(number)
    created, updated = stamp(collection.created(number)), stamp(when)
    producer = collection.data_part(number).name if collection.provider == "NSIDC_CPRD" else collection.name(number)
    meta = {"concept-type": "granule", "concept-id": collection.concept(number), "revision-id": revision,
            "native-id": collection.name(number), "collection-concept-id": collection.concept_id, "provider-id": collection.provider,
            "format": "application/vnd.nasa.cmr.umm+json", "revision-date": updated}
    record = {
        "TemporalExtent": {"RangeDateTime": {"BeginningDateTime": stamp(begin), "EndingDateTime": stamp(end)}},
        "MetadataSpecification": {"URL": f"https://cdn.earthdata.nasa.gov/umm/granule/v{GRANULE_VERSION}", "Name": "UMM-G",
                                  "Version": GRANULE_VERSION},
        "GranuleUR": collection.name(number),
        "ProviderDates": [{"Type": "Insert", "Date": created}, {"Type": "Update", "Date": updated}],
        "SpatialExtent": {"HorizontalSpatialDomain": {"Geometry": geometry(collection.shape(number))}},
        "DataGranule": {
            "ArchiveAndDistributionInformation": [archive_entry(collection, part, number) for part in collection.parts(number)],
            "DayNightFlag": "Unspecified", "ProductionDateTime": created,
            "Identifiers": [{"Identifier": producer, "IdentifierType": "ProducerGranuleId"}]},
        "CollectionReference": {"ShortName": collection.short_name, "Version": collection.version},
        "RelatedUrls": list(related_urls(collection, number, url_of)),
    }
    return {"meta": meta, "umm": record}


def collection(c, url_of, counted=False):
    meta = {"concept-type": "collection", "concept-id": c.concept_id, "revision-id": 42, "native-id": c.title,
            "provider-id": c.provider, "format": "application/vnd.nasa.cmr.umm+json", "revision-date": "2025-08-11T11:06:39.505Z",
            "deleted": False, "has-variables": True, "has-formats": True, "has-transforms": False, "has-combine": False,
            "has-spatial-subsetting": True, "has-temporal-subsetting": True,
            "s3-links": [f"{c.public}/{c.short_name}/", f"{c.protected}/{c.short_name}/"]}
    if counted:
        meta["granule-count"] = sum(1 for _ in c.live())
    times = {"BeginningDateTime": stamp(c.start), **({"EndingDateTime": stamp(c.end)} if c.end else {})}
    base = url_of(c.gateway)
    keyword = {"Category": "EARTH SCIENCE", "Topic": "OCEANS", "Term": "OCEAN TEMPERATURE"}
    record = {
        "ShortName": c.short_name, "Version": c.version, "EntryTitle": c.title, "Abstract": f"Made for tests in the shape of {c.title}.",
        "DOI": {"DOI": c.doi, "Authority": "https://doi.org"},
        "CollectionProgress": "ACTIVE" if c.end is None else "COMPLETE",
        "ProcessingLevel": {"Id": c.level}, "ScienceKeywords": [keyword],
        "TemporalExtents": [{"RangeDateTimes": [times], "EndsAtPresentFlag": c.end is None}],
        "SpatialExtent": {"SpatialCoverageType": "HORIZONTAL", "GranuleSpatialRepresentation": "CARTESIAN",
                          "HorizontalSpatialDomain": {"Geometry": {"CoordinateSystem": "CARTESIAN",
                                                                   "BoundingRectangles": [rectangle(-180, -90, 180, 90)]}}},
        "Platforms": [{"ShortName": c.platform[0], "Instruments": [{"ShortName": c.platform[1]}]}],
        "DataCenters": [{"Roles": ["ARCHIVER"], "ShortName": "NASA/JPL/PODAAC" if c.gateway == "podaac" else "NASA NSIDC DAAC"}],
        "DirectDistributionInformation": {
            "Region": "us-west-2", "S3BucketAndObjectPrefixNames": meta["s3-links"],
            "S3CredentialsAPIEndpoint": f"{base}/s3credentials", "S3CredentialsAPIDocumentationURL": f"{base}/s3credentialsREADME"},
        "RelatedUrls": [{"URLContentType": "DistributionURL", "Type": "GET DATA", "Subtype": "VIRTUAL COLLECTION",
                         "Description": "Virtual data set reference file", "URL": f"{base}/{c.public}/virtual_collections/{c.short_name}/"
                         f"{c.short_name}_virtual_https.json"}],
        "MetadataSpecification": {"URL": f"https://cdn.earthdata.nasa.gov/umm/collection/v{COLLECTION_VERSION}", "Name": "UMM-C",
                                  "Version": COLLECTION_VERSION},
    }
    return {"meta": meta, "umm": record}
